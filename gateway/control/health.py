"""Health for probes: is the process well, and may it be sent requests? Answered from callables."""

from collections.abc import Callable
from dataclasses import dataclass

from aiohttp import web


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """Each answers None when all is well, else why not, in words without secrets."""

    alive: Callable[[], str | None] = lambda: None
    ready: Callable[[], str | None] = lambda: None

    async def healthz(self, _request: web.Request) -> web.Response:
        return _answer(self.alive())

    async def readyz(self, _request: web.Request) -> web.Response:
        return _answer(self.ready())


def _answer(why_not: str | None) -> web.Response:
    if why_not is None:
        return web.Response(text="ok\n")
    return web.Response(status=503, text=f"{why_not}\n", headers={"Retry-After": "1"})
