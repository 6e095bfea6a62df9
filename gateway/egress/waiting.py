"""What decisions need, done: bodies gathered, secrets fetched, hashes computed, services asked."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from gateway.egress import needs
from gateway.egress.gathering import Gathered

if TYPE_CHECKING:
    from gateway.egress.ask import Ask
    from gateway.egress.needs import Need
    from gateway.egress.parts import Parts
    from gateway.egress.policies import Policy

_MOST_WORK = 2
"""Hashes computed at once, in threads: they take a core each."""


class Waiting:
    """Shared by all connections of a proxy."""

    def __init__(self) -> None:
        self._work = asyncio.Semaphore(_MOST_WORK)

    def __repr__(self) -> str:
        return f"<Waiting, {'busy' if self._work.locked() else 'idle'}>"

    async def meet(
        self,
        need: "Need",
        parts: "Parts",
        policy: "Policy",
        ask: "Ask",
        gather: Callable[[int], Awaitable[Gathered]],
    ) -> object:
        """Raises Refusal, ActorLeft."""
        match need:
            case needs.Body():
                return _shown(await gather(need.most), need, ask)
            case needs.Secrets():
                await parts.secrets.ready(need.sources)
                return None
            case needs.Work():
                async with self._work:
                    return await asyncio.to_thread(need.compute)
            case needs.Consult():
                return await parts.opinions.of(need.authz, need.ask, policy.contexts.of)


def _shown(found: Gathered, need: needs.Body, ask: "Ask") -> bytes | None:
    if found.is_whole:
        ask.body = found.data
        return found.data
    if need.may_be_cut:
        ask.part = found.data[: need.most]
        return ask.part
    return None
