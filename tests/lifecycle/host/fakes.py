"""A driver and a store with behaviour, and a worker around them on the real table and vault."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from redis.asyncio import Redis

from lifecycle.catalogue import KnownTemplates
from lifecycle.documents import parse_template
from lifecycle.host.door import Door
from lifecycle.host.golden import Goldens
from lifecycle.host.host import Host
from lifecycle.host.kept import Kept
from lifecycle.host.kit import HostSettings, Kit
from lifecycle.host.meters import HostMeters
from lifecycle.host.outbound import Outbound
from lifecycle.host.places import Places
from lifecycle.messages import Here, WakeAnswer, WakeAsk
from lifecycle.quota import KnownQuotas
from lifecycle.snapshots.keys import Keys
from lifecycle.snapshots.local import LocalStore
from lifecycle.snapshots.vault import Vault
from placement.catalog import Catalog
from placement.errands import Errands
from placement.leases import Leases
from placement.model import ActorId, BackOff
from placement.quotas import Quotas
from placement.table import Table
from runtimes.base import (
    Capabilities,
    Endpoint,
    Exit,
    Fingerprint,
    Handle,
    Inspection,
    RuntimeClass,
    RuntimeFailure,
    SandboxSpec,
    Scope,
)

TTL_S = 1.0
MARGIN_S = 0.1


class FakeDriver:
    """Sandboxes that are servers in this process. Records what was done, in order; `hold` stops
    every start until it is set, `mute` opens no port, `broken` refuses to start. With `terms` it
    keeps memory: an image holds the slug that wrote it, `came_from` who went on from which."""

    runtime = RuntimeClass.PROCESS

    def __init__(self) -> None:
        self.done: list[str] = []
        self.go = asyncio.Event()
        self.go.set()
        self.mute = False
        self.broken = False
        self.cpu_s = 0.0
        self.terms: dict[str, tuple[str, ...]] = {}
        self.came_from: dict[str, str] = {}
        self._servers: dict[str, asyncio.Server] = {}
        self._ended: dict[str, asyncio.Future[Exit]] = {}
        self._frozen: set[str] = set()
        self._pids = iter(range(1000, 100_000))

    @property
    def running(self) -> set[str]:
        return set(self._servers)

    def counted(self, what: str) -> int:
        return sum(1 for each in self.done if each.startswith(what))

    def capabilities(self) -> Capabilities:
        return Capabilities(
            scopes=(Scope.DATA,),
            isolation=0,
            own_network=False,
            survives_worker=True,
            keeps=(),
        )

    async def fingerprint(self) -> Fingerprint:
        return Fingerprint(works=True)

    async def run(self) -> None:
        await asyncio.Event().wait()

    def expect(self, spec: SandboxSpec) -> None:
        self.done.append(f"expect {spec.slug}")

    def image_terms(self, spec: SandboxSpec) -> Mapping[str, tuple[str, ...]]:
        return self.terms

    async def start(self, spec: SandboxSpec) -> Handle:
        self.done.append(f"start {spec.slug}")
        await self.go.wait()
        if self.broken:
            raise RuntimeFailure("no such program")
        server = await asyncio.start_server(_serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        if self.mute:
            server.close()
        self._servers[spec.slug] = server
        self._ended[spec.slug] = asyncio.get_running_loop().create_future()
        return Handle(
            runtime=self.runtime,
            actor=spec.actor,
            uid=spec.uid,
            epoch=spec.epoch,
            pid=next(self._pids),
            started=1,
            endpoints={"http": Endpoint(host="127.0.0.1", port=port, declared=8080)},
            directory=spec.directory,
        )

    async def restore(self, spec: SandboxSpec, image: Path) -> Handle:
        self.came_from[spec.slug] = _read(image)
        return await self.start(spec)

    async def freeze(self, handle: Handle) -> None:
        self.done.append(f"freeze {handle.slug}")
        self._frozen.add(handle.slug)

    async def thaw(self, handle: Handle) -> None:
        self.done.append(f"thaw {handle.slug}")
        self._frozen.discard(handle.slug)

    async def checkpoint(self, handle: Handle, into: Path) -> None:
        assert handle.slug in self._frozen
        self.done.append(f"checkpoint {handle.slug}")
        _write(into, handle.slug)

    async def stop(self, handle: Handle, grace_s: float) -> None:
        self.exits(handle.slug, Exit(signal=9))
        self.done.append(f"stop {handle.slug}")

    def exits(self, slug: str, exit_: Exit) -> None:
        """The program of this sandbox ends."""
        server = self._servers.pop(slug, None)
        if server is not None:
            server.close()
            self._ended[slug].set_result(exit_)

    async def wait(self, handle: Handle) -> Exit:
        return await asyncio.shield(self._ended[handle.slug])

    async def inspect(self, handle: Handle) -> Inspection:
        return Inspection(
            alive=handle.slug in self._servers,
            frozen=handle.slug in self._frozen,
            cpu_s=self.cpu_s,
        )

    async def sweep(self, keep: Collection[str]) -> list[str]:
        left = [slug for slug in self._servers if slug not in keep]
        for slug in left:
            self.exits(slug, Exit(signal=9))
        return left

    def close(self) -> None:
        for server in self._servers.values():
            server.close()


def _write(image: Path, slug: str) -> None:
    image.mkdir()
    (image / "pages.img").write_text(slug)


def _read(image: Path) -> str:
    return (image / "pages.img").read_text()


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        await reader.read(1024)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        writer.close()
        await writer.wait_closed()


class SlowStore(LocalStore):
    """A real local store whose writes wait for `go`; `arrived` tells that one waits."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.go = asyncio.Event()
        self.go.set()
        self.arrived = asyncio.Event()
        self.error: Exception | None = None

    async def create(self, key: str, body: bytes) -> None:
        self.arrived.set()
        await self.go.wait()
        if self.error is not None:
            raise self.error
        await super().create(key, body)


TEMPLATE: dict[str, object] = {
    "apiVersion": "rouse.dev/v1alpha1",
    "kind": "ActorTemplate",
    "metadata": {"namespace": "demo", "name": "counter"},
    "spec": {
        "command": ["true"],
        "ports": [{"name": "http", "port": 8080}],
        "readiness": {"httpGet": {"path": "/", "port": "http"}, "timeout": "1s"},
        "durable": ["/data"],
        "idle": {"freezeAfter": "never", "suspendAfter": "never"},
        "create": {"onRequest": True},
    },
}


def template(**spec: object) -> dict[str, object]:
    base = TEMPLATE["spec"]
    assert isinstance(base, dict)
    return {**TEMPLATE, "spec": {**base, **spec}}


class World:
    """A table, a catalog and a store that workers of the test share."""

    def __init__(self, redis: Redis, table: Table, directory: Path) -> None:
        self.redis = redis
        self.table = table
        self.directory = directory
        self.catalog = Catalog(redis)
        self.leases = Leases(redis, ttl_s=TTL_S, margin_s=MARGIN_S)
        self.quotas = KnownQuotas(Quotas(redis, lasts_s=TTL_S))
        """Of every worker and gateway side here."""
        self.store = SlowStore(directory / "store")
        self.vault = Vault(self.store, Keys(b"k" * 32), None)

    async def apply(self, document: dict[str, object]) -> None:
        parsed = parse_template(document)
        await self.catalog.put(
            parsed.template.namespace,
            parsed.template.name,
            parsed.canonical,
            parsed.template.digest,
        )

    async def limit(self, namespace: str, running: int | None) -> None:
        """As many may run from now on, and all know it."""
        await self.quotas.quotas.set(namespace, running)
        await self.quotas.refresh()

    async def create(self, name: str) -> ActorId:
        actor = ActorId.of("demo", name)
        answer = await self.table.create(actor, template="counter")
        assert answer.is_done
        return actor

    @asynccontextmanager
    async def worker(
        self,
        name: str = "w1",
        *,
        slots: int = 10,
        driver: FakeDriver | None = None,
        limits: HostSettings | None = None,
        outbound: Outbound | None = None,
    ) -> AsyncIterator["TestWorker"]:
        """A registered worker; leaving it stops it at once: nothing is saved or given back.

        Of `limits` only the times count: slots and what a test waits for are set here."""
        worker = TestWorker(self, name, slots, driver or FakeDriver(), limits, outbound)
        worker.places.lock()
        ready = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            task = group.create_task(worker.host.run(ready.set), name=name)
            await ready.wait()
            try:
                yield worker
            finally:
                task.cancel()
        worker.places.unlock()


class TestWorker:
    __test__ = False

    def __init__(
        self,
        world: World,
        name: str,
        slots: int,
        driver: FakeDriver,
        limits: HostSettings | None = None,
        outbound: Outbound | None = None,
    ) -> None:
        self.driver = driver
        self.places = Places(world.directory / name)
        self.dropped: list[object] = []
        kit = Kit(
            table=world.table,
            leases=world.leases,
            vault=world.vault,
            drivers={RuntimeClass.PROCESS: driver},
            templates=KnownTemplates(world.catalog, clock=lambda: random.random() * 1e9),
            places=self.places,
            kept=Kept(self.places.root / "kept", 10_000_000),
            meters=HostMeters(),
            settings=replace(
                limits or HostSettings(),
                slots=slots,
                retry_suspend_s=0.05,
                back_off=BackOff(threshold=3, base_ms=60_000),
            ),
            drop_connections=self.dropped.append,
            goldens=Goldens(
                self.places.root / "golden",
                10_000_000,
                vault=world.vault,
                errands=Errands(world.redis),
            ),
            outbound=outbound,
            quotas=world.quotas,
        )
        self.host = Host(kit, worker=name)
        self.host.door, self.host.rpc = f"unix:/{name}/door", f"unix:/{name}/rpc"
        self.door = Door(self.host)

    @property
    def meters(self) -> HostMeters:
        return self.host.kit.meters

    async def wake(self, actor: ActorId, wait_s: float = 20.0) -> WakeAnswer:
        return await self.host.wake(WakeAsk(actor=actor, wait_ms=int(wait_s * 1000)))

    async def woken(self, actor: ActorId) -> Here:
        answer = await self.wake(actor)
        assert isinstance(answer, Here), answer
        return answer

    def data(self, actor: ActorId) -> Path:
        """The durable directory of the copy that is here."""
        residence = self.host.residents[actor]
        assert residence.copy is not None
        return residence.copy.directories(("/data",))["/data"]


def soon(seconds: float = 20.0) -> float:
    return asyncio.get_running_loop().time() + seconds
