"""The provider's key set over HTTP: kept while it is away, fetched anew when a token asks."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web

from gateway.ingress.auth.provider import Provider, ProviderSettings
from tests.gateway.ingress.support import SCALE


@dataclass
class Site:
    """Publishes `text` with `status`, and counts who asks."""

    text: bytes = b"one"
    status: int = 200
    asked: int = 0
    url: str = ""
    taken: asyncio.Queue[bytes] = field(default_factory=asyncio.Queue)

    async def serve(self, _request: web.Request) -> web.Response:
        self.asked += 1
        headers = {"Location": "/elsewhere"} if self.status == 302 else {}
        return web.Response(body=self.text, status=self.status, headers=headers)

    def take(self, text: bytes) -> None:
        if text == b"bad":
            raise ValueError("no key set")
        self.taken.put_nowait(text)

    async def next(self) -> bytes:
        async with asyncio.timeout(SCALE):
            return await self.taken.get()


@asynccontextmanager
async def published() -> AsyncIterator[Site]:
    site = Site()
    app = web.Application()
    app.router.add_get("/{any}", site.serve)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    site.url = f"http://127.0.0.1:{runner.addresses[0][1]}/keys"
    try:
        yield site
    finally:
        await runner.cleanup()


@asynccontextmanager
async def running(provider: Provider) -> AsyncIterator[None]:
    async with asyncio.TaskGroup() as group:
        run = group.create_task(provider.run())
        try:
            yield
        finally:
            run.cancel()


async def test_keys_are_fetched_at_the_start_and_when_a_token_names_an_unknown_one() -> None:
    async with published() as site:
        provider = Provider(ProviderSettings(url=site.url, retry_s=0.0), site.take)
        async with running(provider):
            assert await site.next() == b"one"
            site.text = b"two"
            assert provider.want()
            assert await site.next() == b"two"


async def test_tokens_of_strangers_do_not_make_us_ask_again_and_again() -> None:
    async with published() as site:
        provider = Provider(ProviderSettings(url=site.url, retry_s=3600.0), site.take)
        async with running(provider):
            await site.next()
            while provider.want():  # until the loop has come back from taking it
                await asyncio.sleep(0)
            assert not any(provider.want() for _ in range(100))
    assert site.asked == 1


async def test_keys_are_looked_for_now_and_then() -> None:
    async with published() as site:
        async with running(Provider(ProviderSettings(url=site.url, refresh_s=0.01), site.take)):
            assert await site.next() == await site.next() == b"one"


async def test_a_bad_day_of_the_provider_changes_nothing_and_ends_by_itself() -> None:
    async with published() as site:
        settings = ProviderSettings(url=site.url, refresh_s=0.01, retry_s=0.01)
        provider = Provider(settings, site.take)
        async with running(provider):
            await site.next()
            bad_days = [(500, b"x"), (302, b"x"), (200, b"bad"), (200, b"x" * (2**20 + 1))]
            for site.status, site.text in bad_days:
                before = site.asked
                async with asyncio.timeout(SCALE):
                    while site.asked < before + 2 or "(away)" not in repr(provider):
                        await asyncio.sleep(0.001)
            while not site.taken.empty():
                assert site.taken.get_nowait() == b"one"
            site.status, site.text = 200, b"two"
            assert await site.next() == b"two"


async def test_a_provider_that_is_not_there_is_tried_again() -> None:
    site = Site()
    settings = ProviderSettings(url="http://127.0.0.1:1/keys", retry_s=0.01)
    provider = Provider(settings, site.take)
    async with running(provider), asyncio.timeout(SCALE):
        while "(away)" not in repr(provider):
            await asyncio.sleep(0.001)
    assert site.taken.empty()
