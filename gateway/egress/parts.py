"""What all connections of one proxy share."""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gateway.egress.audit import Audit
from gateway.egress.credentials.secrets import Secrets
from gateway.egress.holding import Holding
from gateway.egress.metering.meters import Metering
from gateway.egress.opinions import Opinions
from gateway.egress.policies import Policies
from gateway.egress.repeating import Plans
from gateway.egress.resolving import Names
from gateway.egress.seams import Callers
from gateway.egress.upstream import Upstreams
from gateway.egress.waiting import Waiting

if TYPE_CHECKING:
    from gateway.egress.client import ClientConnection
    from gateway.egress.siblings import Siblings

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Budgets:
    """In seconds."""

    head_s: float = 15.0
    """From a connection's first byte (or the last answer's end) to a whole head."""
    idle_s: float = 75.0
    """A connection without a request."""
    stream_idle_s: float = 3600.0
    """In which neither side of a request or tunnel sent a byte."""


@dataclass(slots=True, kw_only=True)
class Parts:
    callers: Callers
    policies: Policies
    secrets: Secrets
    names: Names
    audit: Audit
    metering: Metering
    siblings: "Siblings | None" = None
    """None: actors of this worker call no others by name."""
    upstreams: Upstreams = field(default_factory=Upstreams)
    budgets: Budgets = field(default_factory=Budgets)
    connections: "set[ClientConnection]" = field(default_factory=set)
    plans: Plans = field(default_factory=Plans)
    open_by: Counter[str] = field(default_factory=Counter)
    """Connections by copy."""
    waiting: Waiting = field(default_factory=Waiting)
    holding: Holding = field(default_factory=Holding)
    opinions: Opinions = field(init=False)
    group: asyncio.TaskGroup | None = None
    loop: asyncio.AbstractEventLoop = field(init=False)
    now: float = 0.0
    """The loop's time at the last tick."""

    def __post_init__(self) -> None:
        self.opinions = Opinions(self.secrets)

    def calls_of(self, key: str) -> int:
        """That a copy of an actor has open now."""
        return sum(
            each.user is not None and each.caller is not None and each.caller.key == key
            for each in self.connections
        )

    def leave(self, key: str) -> None:
        self.open_by[key] -= 1
        if self.open_by[key] <= 0:
            del self.open_by[key]

    def loop_time(self) -> float:
        return self.loop.time()

    def spawn(
        self, work: Coroutine[Any, Any, None], name: str, broke: Callable[[], None] = lambda: None
    ) -> None:
        """Each catches what can be foreseen, and tells who waits for it. What cannot be is logged
        and ends what it was done for (`broke`): never the proxy, which serves others too."""
        assert self.group is not None
        self.group.create_task(_guarded(work, name, broke), name=name)


async def _guarded(work: Coroutine[Any, Any, None], name: str, broke: Callable[[], None]) -> None:
    try:
        await work
    except Exception:
        log.exception("egress broke", extra={"what": name})
        broke()
