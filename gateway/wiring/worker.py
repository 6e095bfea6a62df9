"""A worker: its host, the door in front of it, and the RPC by which gateways ask it to wake."""

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from prometheus_client.core import Metric

from gateway.ingress.hop import DoorNaming
from gateway.ingress.relay import Relay
from gateway.ingress.settings import RelaySettings
from gateway.settings import BadSettings, Settings
from gateway.wiring.backbone import Backbone, Part
from gateway.wiring.doorway import DoorUsher
from gateway.wiring.listening import listen_relay, naming, socket_address
from gateway.wiring.readings import of_host, of_relay
from lifecycle.host.door import Door
from lifecycle.host.golden import Goldens
from lifecycle.host.host import Host
from lifecycle.host.kept import Kept
from lifecycle.host.kit import HostSettings, Kit
from lifecycle.host.meters import HostMeters
from lifecycle.host.places import Places
from lifecycle.orphans import Sweep
from lifecycle.rpc.server import serving
from lifecycle.snapshots.collect import Collector
from lifecycle.snapshots.keys import Keys as SnapshotKeys
from lifecycle.snapshots.keys import load_key, load_or_make_key
from lifecycle.snapshots.stores import open_store
from lifecycle.snapshots.vault import Vault
from lifecycle.trust import Address, is_guarded
from lifecycle.upkeep import Upkeep
from placement.errands import Errands
from runtimes.base import Driver, RuntimeClass
from runtimes.registry import available
from runtimes.roots import Roots

if TYPE_CHECKING:
    from gateway.wiring.egress import EgressPart


def store_url(settings: Settings) -> str:
    return settings.snapshots.url or f"file://{settings.data_dir / 'snapshots'}"


def snapshot_keys(settings: Settings) -> SnapshotKeys:
    wanted = settings.snapshots.key_file
    if wanted is not None:
        return SnapshotKeys(load_key(wanted))
    return SnapshotKeys(load_or_make_key(settings.data_dir / "snapshot.key"))


@asynccontextmanager
async def open_vault(settings: Settings, cache: Path | None) -> AsyncIterator[Vault]:
    """The snapshots of every worker and of the control API: one store, one key."""
    url = store_url(settings)
    # A cache beside a store that is a directory already would only hold everything twice.
    kept = None if url.startswith("file:") else cache
    vault = Vault(open_store(url), snapshot_keys(settings), kept, settings.snapshots.cache_bytes)
    try:
        yield vault
    finally:
        await vault.close()


@asynccontextmanager
async def worker_part(settings: Settings, backbone: Backbone) -> "AsyncIterator[WorkerPart]":
    """Holds the worker's directory. Raises DirectoryInUse, RuntimeFailure, OSError."""
    async with AsyncExitStack() as stack:
        places = Places(settings.data_dir / "worker")
        places.lock()
        stack.callback(places.unlock)
        vault = await stack.enter_async_context(open_vault(settings, settings.data_dir / "cache"))
        drivers = await available(places.root / "sandboxes", hidden=(settings.data_dir,))
        store = open_store(store_url(settings))
        stack.push_async_callback(store.close)
        collector = Collector(store, snapshot_keys(settings))
        egress = None
        if settings.egress.policies:
            # Here: CEL and certificates cost a start 100 ms that most have no use for.
            from gateway.egress.metering.budgets import RedisLedger
            from gateway.wiring.egress import EgressPart

            callers, authority = backbone.keys.callers, backbone.keys.authority
            egress = EgressPart(
                settings,
                RedisLedger(backbone.redis),
                None if callers is None else bytes.fromhex(callers),
                None if authority is None else bytes.fromhex(authority),
            )
        yield WorkerPart(settings, backbone, places, vault, drivers, collector, egress)


class WorkerPart:
    def __init__(
        self,
        settings: Settings,
        backbone: Backbone,
        places: Places,
        vault: Vault,
        drivers: dict[RuntimeClass, Driver],
        collector: Collector,
        egress: "EgressPart | None" = None,
    ) -> None:
        self._settings = settings
        self._backbone = backbone
        self.vault = vault
        self.egress = egress
        kit = Kit(
            table=backbone.table,
            leases=backbone.leases,
            vault=vault,
            drivers=drivers,
            templates=backbone.templates,
            places=places,
            kept=Kept(places.root / "kept", settings.snapshots.cache_bytes),
            meters=HostMeters(),
            settings=HostSettings(slots=settings.worker.slots, runtime=settings.worker.runtime),
            drop_connections=self._drop,
            roots=Roots(places.root / "images", settings.snapshots.cache_bytes),
            goldens=Goldens(
                places.root / "golden",
                settings.snapshots.cache_bytes // 4,
                vault=vault,
                errands=Errands(backbone.redis),
            ),
            outbound=egress,
            quotas=backbone.quotas,
        )
        self.host = Host(kit, worker=places.worker_id(settings.worker.id))
        self.host.labels = dict(settings.worker.labels)
        self.door = Door(self.host)
        self.relay = Relay(
            naming=DoorNaming(key=backbone.keys.door),
            usher=DoorUsher(self.door),
            settings=RelaySettings(asleep=settings.edge.asleep_paths),
        )
        self.relays = [self.relay]
        """Every relay that may hold connections to actors here: the door, and the edge of this
        process where there is one."""
        backbone.host = self.host
        self._drivers = drivers
        self._upkeep = Upkeep(
            self.host.worker,
            listing=backbone.listing,
            roster=backbone.roster,
            collector=collector,
            catalog=backbone.catalog,
            sweep=Sweep(backbone.table, backbone.leases, backbone.worker_at),
        )

    def parts(self) -> list[Part]:
        parts = [
            ("door", self.relay.run),
            ("host", self._serve),
            ("upkeep", self._upkeep.run),
            *((f"runtime {kind}", driver.run) for kind, driver in self._drivers.items()),
        ]
        return parts if self.egress is None else [*self.egress.parts(), *parts]

    async def _serve(self) -> None:
        """Door and RPC first: who reads of this worker in the table must be able to reach it."""
        settings = self._settings
        door = await listen_relay(self.relay, self._address(settings.door.listen, "door.sock"))
        self.host.door = settings.door.advertise or _reachable("door", door)
        at = self._address(settings.rpc.listen, "rpc.sock")
        async with AsyncExitStack() as stack:
            with naming(at):
                calls = serving(self.host, self._backbone.keys.rpc, at)
                rpc = await stack.enter_async_context(calls)
            self.host.rpc = settings.rpc.advertise or _reachable("rpc", rpc)
            await self.host.run()

    def _address(self, wanted: str | None, name: str) -> Address:
        if wanted is not None:
            return Address.parse(wanted)
        return socket_address(self._settings.data_dir / "run", name)

    def _drop(self, key: object) -> None:
        for relay in self.relays:
            relay.upstreams.drop(key)

    def read(self) -> Iterator[Metric]:
        yield from of_host(self.host)
        yield from of_relay(self.relay, "door")
        if self.egress is not None:
            yield from self.egress.read()


def _reachable(what: str, address: Address) -> str:
    """What others are told; an address of every interface is none of any."""
    if not is_guarded(address) and address.host in ("0.0.0.0", "::"):
        raise BadSettings(f"{what}.listen is {address}: say in {what}.advertise where that is")
    return str(address)
