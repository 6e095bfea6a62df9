"""The waiting page: what a browser shows while its actor wakes, where the template allows it (A3).

A usher around a usher. A browser's navigation waits a moment, as most wakes take no longer; then it
gets a page that comes again by itself. The wake goes on meanwhile, and nobody else gets the page.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

from gateway.ingress.codec.request import RequestHead
from gateway.ingress.seams import Demand, Reason, Refusal, Ticket, Usher
from placement.model import ActorId

_WAITS = frozenset((Reason.WAKING, Reason.NO_CAPACITY))


class PageUsher:
    def __init__(
        self,
        usher: Usher,
        *,
        allowed: Callable[[ActorId], Awaitable[bool]],
        after_s: float = 1.0,
    ) -> None:
        self._usher = usher
        self._allowed = allowed
        self._after_s = after_s
        self.admit = usher.admit  # the warm path has no business here
        self.forget = usher.forget

    def __repr__(self) -> str:
        return f"<PageUsher after {self._after_s:g} s, {self._usher!r}>"

    async def admit_waiting(self, demand: Demand) -> Ticket:
        if not demand.navigates:
            return await self._usher.admit_waiting(demand)
        soon = asyncio.get_running_loop().time() + self._after_s
        if soon >= demand.deadline:
            return await self._usher.admit_waiting(demand)
        try:
            return await self._usher.admit_waiting(replace(demand, deadline=soon))
        except Refusal as refusal:
            if refusal.reason not in _WAITS:
                raise
            if await self._allowed(demand.actor):
                text = "the actor is waking"
                page = Refusal(Reason.WAKING, text, actor=demand.actor, retry_after_s=1.0)
                page.is_page = True
                raise page from refusal
        # No page for this one: it goes on waiting, in the same wake.
        return await self._usher.admit_waiting(demand)


def navigates(head: RequestHead) -> bool:
    """Is this a browser that shows what comes? It says so itself (Fetch, section 3.2.1), or, over
    plain HTTP, by asking for a page in the way that only browsers do."""
    if head.method != b"GET":
        return False
    block = head.fields.block.lower()
    if b"\r\nsec-fetch-mode:" in block:
        return b"\r\nsec-fetch-mode: navigate" in block
    return b"\r\nupgrade-insecure-requests: 1" in block and b"text/html" in block


def page_of(actor: ActorId | None) -> bytes:
    """Names are DNS labels: nothing in them could be markup."""
    return _PAGE.replace(b"ACTOR", str(actor or "").encode())


_PAGE = b"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta http-equiv="refresh" content="1">
<meta name="viewport" content="width=device-width"><title>Waking ACTOR</title>
<style>body{font:16px system-ui;display:grid;place-items:center;height:90vh;color:#555}</style>
</head><body><p>Waking <b>ACTOR</b>. This page comes again by itself.</p></body></html>
"""
