"""What every residence of a worker works with, and what it may ask of the worker itself."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from lifecycle.catalogue import KnownTemplates
from lifecycle.host.disk import Disk
from lifecycle.host.golden import Goldens
from lifecycle.host.health import Patience
from lifecycle.host.kept import Kept
from lifecycle.host.meters import HostMeters
from lifecycle.host.outbound import Outbound
from lifecycle.host.places import Places
from lifecycle.quota import KnownQuotas
from lifecycle.snapshots.vault import Vault
from placement.leases import Leases
from placement.model import ActorId, ActorRecord, BackOff, Claimant
from placement.table import Table
from placement.tenure import Tenure
from runtimes.base import Driver, RuntimeClass
from runtimes.roots import Roots

if TYPE_CHECKING:
    from lifecycle.host.residence import Residence


@dataclass(frozen=True, slots=True, kw_only=True)
class HostSettings:
    slots: int = 100
    runtime: str = "auto"
    """What a template's `auto` means here: a RuntimeClass value, or `auto` for the strongest."""
    wake_budget_s: float = 120.0
    """A wake that takes longer may be taken over by another worker."""
    quick_exit_s: float = 10.0
    """A program that ends by itself sooner than this after it was ready has failed to start."""
    driver_s: float = 30.0
    """For one act of a driver beside the start: one that hangs must not hold a slot for ever."""
    busy_cores: float = 0.1
    """CPU use above this (cores, over the idle time) counts as activity."""
    retry_suspend_s: float = 5.0
    """After a suspend that failed (store away), how long until the next try."""
    back_off: BackOff = field(default_factory=BackOff)
    probe_every_s: float = 10.0
    """How often a running program is asked whether it is still ready."""
    patience: Patience = field(default_factory=Patience)


class Owner(Protocol):
    """The worker, as its residences see it."""

    def has_lease(self, incarnation: str | None = None) -> bool:
        """By our own clock, now: this incarnation's, or (None) anyone's of ours."""
        ...

    def tenure(self, incarnation: str | None) -> Tenure | None:
        """Of the lease that we hold, if it is this incarnation's: it says from then on, without
        being asked again by name, whether what was claimed under it may be served."""
        ...

    def claimant(self) -> Claimant: ...

    async def next_lease(self, after: str) -> None:
        """Return when the worker is registered in another incarnation than `after`."""
        ...

    def renew_soon(self) -> None:
        """Compare all that runs here with the table now, and not only at the next renewal."""
        ...

    async def has_lost_writes(self) -> bool:
        """Is the table known to have forgotten something since a moment ago? Raises
        PlacementError."""
        ...

    def fell_asleep(self, record: ActorRecord) -> None:
        """This was the answer to a suspend; a failover may forget it yet."""
        ...

    def asleep(self, actor: ActorId) -> ActorRecord | None:
        """What `fell_asleep` was told of it a moment ago."""
        ...

    def leave_unsure(self, actor: ActorId) -> None:
        """A call about this actor got no answer: look later whether the record names us."""
        ...

    def freed(self, residence: "Residence") -> None:
        """This residence has ended; its slot is free."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Kit:
    table: Table
    leases: Leases
    vault: Vault
    drivers: Mapping[RuntimeClass, Driver]
    templates: KnownTemplates
    places: Places
    kept: Kept
    meters: HostMeters
    settings: HostSettings
    drop_connections: Callable[[object], None]
    """Close the door's idle connections of this pool key (slug and port)."""
    disk: Disk = field(default_factory=Disk)
    roots: Roots | None = None
    """None: no template with an image can be started here."""
    goldens: Goldens | None = None
    """None: every new actor starts anew here."""
    outbound: Outbound | None = None
    """None: this worker carries no calls of its actors."""
    quotas: KnownQuotas | None = None
    """None: nothing is counted."""
