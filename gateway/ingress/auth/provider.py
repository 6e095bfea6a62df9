"""The identity provider's key set by URL: fetched at the start, now and then, and when a token
names a key that is not known yet."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass

import aiohttp

log = logging.getLogger(__name__)

_LARGEST = 1024 * 1024
_FETCH_S = 10.0


class Unfetched(Exception):
    """The key set could not be had; the cause says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderSettings:
    url: str
    refresh_s: float = 300.0
    retry_s: float = 10.0
    """The least time between two fetches, whatever tokens say: they may be anybody's."""


class Provider:
    """`take` gets every document that came whole and raises ValueError for one it can't use; the
    keys from before stay in force then, as they do while the provider is away."""

    def __init__(self, settings: ProviderSettings, take: Callable[[bytes], None]) -> None:
        self._settings = settings
        self._take = take
        self._wanted = asyncio.Event()
        self._next_s = 0.0
        self._is_away = False

    def __repr__(self) -> str:
        return f"<Provider {self._settings.url}{' (away)' if self._is_away else ''}>"

    def want(self) -> bool:
        """A token names an unknown key. True when a fetch is due; else the answer is final."""
        if asyncio.get_running_loop().time() < self._next_s:
            return False
        self._wanted.set()
        return True

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        timeout = aiohttp.ClientTimeout(total=_FETCH_S)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            while True:
                whole = await self._fetch(session)
                self._wanted.clear()
                self._next_s = loop.time() + self._settings.retry_s
                pause_s = self._settings.refresh_s if whole else self._settings.retry_s
                try:
                    async with asyncio.timeout(pause_s):
                        await self._wanted.wait()
                except TimeoutError:
                    continue

    async def _fetch(self, session: aiohttp.ClientSession) -> bool:
        try:
            self._take(await self._document(session))
        except (Unfetched, ValueError) as error:
            if not self._is_away:
                log.warning(
                    "key set not fetched, the keys from before stay",
                    extra={"url": self._settings.url, "why": str(error)},
                )
            self._is_away = True
            return False
        if self._is_away:
            log.info("key set fetched again", extra={"url": self._settings.url})
        self._is_away = False
        return True

    async def _document(self, session: aiohttp.ClientSession) -> bytes:
        try:
            # No redirects: whom we trust is written in the settings, not in an answer.
            async with session.get(self._settings.url, allow_redirects=False) as answer:
                if answer.status != 200:
                    raise Unfetched(f"the provider answered {answer.status}")
                text = await answer.content.read(_LARGEST + 1)
                while len(text) <= _LARGEST and (more := await answer.content.read(_LARGEST)):
                    text += more
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Unfetched(f"{type(error).__name__}: {error}") from error
        if len(text) > _LARGEST:
            raise Unfetched(f"the key set is larger than {_LARGEST} bytes")
        return text
