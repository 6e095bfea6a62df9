"""What all connections of one relay share, put together once by the relay."""

import asyncio
import secrets
from collections.abc import Coroutine
from time import monotonic
from typing import Final

from gateway.ingress.accesslog import AccessLog
from gateway.ingress.auth.gatekeeper import Gatekeeper
from gateway.ingress.crowds import Crowds
from gateway.ingress.meters import Meters
from gateway.ingress.naming import Naming
from gateway.ingress.parking import Parking
from gateway.ingress.rates import Rates
from gateway.ingress.seams import Usher
from gateway.ingress.settings import RelaySettings
from gateway.ingress.upstream import Upstreams

_LAST_DIGITS: Final = [b"%03x" % number for number in range(0x1000)]


class Parts:
    """No behaviour but a clock that ticks with the sweep, request ids, and a parent for tasks."""

    def __init__(
        self,
        *,
        naming: Naming,
        usher: Usher,
        settings: RelaySettings,
        meters: Meters,
        access_log: AccessLog | None,
        gatekeeper: Gatekeeper | None = None,
    ) -> None:
        self.naming = naming
        self.usher = usher
        self.settings = settings
        self.meters = meters
        self.access_log = access_log
        self.gatekeeper = gatekeeper
        """None: everybody may come in."""
        self.parking = Parking(
            per_actor=settings.parked_per_actor,
            total=settings.parked,
            total_bytes=settings.parked_bytes,
        )
        most, rate = settings.requests_per_actor, settings.rate_per_address
        self.crowds = Crowds(per_actor=most) if most else None
        self.rates = Rates(per_s=rate, burst=settings.rate_burst) if rate else None
        self.upstreams = Upstreams(settings)
        self.loop: asyncio.AbstractEventLoop | None = None
        self.group: asyncio.TaskGroup | None = None
        self.is_draining = False
        self.now = 0.0
        """Loop time as of the last tick: near enough for every budget, and costs no call."""
        self._id_half = secrets.token_hex(8).encode()
        self._id_count = 0
        self._id_start = b""

    def time(self) -> float:
        """Loop time, which is this clock in asyncio and uvloop; the latter's own answer is only as
        new as its turn, which is too coarse for a request."""
        return monotonic()

    def new_request_id(self) -> bytes:
        """Unique over processes by its random half, over requests by its count."""
        low = self._id_count & 0xFFF
        if not low:
            self._id_start = b"%b%09x" % (self._id_half, self._id_count >> 12)
        self._id_count += 1
        return self._id_start + _LAST_DIGITS[low]

    def spawn(self, work: Coroutine[None, None, None], name: str) -> asyncio.Task[None]:
        assert self.group is not None, "Relay.run is the parent of all that waits"
        return self.group.create_task(work, name=name)
