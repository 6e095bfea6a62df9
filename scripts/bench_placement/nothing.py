"""A driver and a vault that do nothing at once: what is left is what a wake itself costs."""

import asyncio
import socket
from collections.abc import Collection, Mapping
from pathlib import Path

from lifecycle.snapshots.image import Memory
from lifecycle.snapshots.keys import Keys
from lifecycle.snapshots.local import LocalStore
from lifecycle.snapshots.names import new_name
from lifecycle.snapshots.rebuild import Owner
from lifecycle.snapshots.vault import Restored, Saved, SnapshotOwner, Vault
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


class NoDriver:
    """Sandboxes without a process. All of them share one listener, so that a readiness probe's
    connect is answered as a program's would be."""

    runtime = RuntimeClass.PROCESS

    def __init__(self) -> None:
        self._ended: dict[str, asyncio.Future[Exit]] = {}
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
        self._listener.setblocking(False)
        self._port = self._listener.getsockname()[1]
        asyncio.get_running_loop().add_reader(self._listener.fileno(), self._accept)

    def _accept(self) -> None:
        try:
            while True:
                self._listener.accept()[0].close()
        except BlockingIOError:
            return

    def capabilities(self) -> Capabilities:
        return Capabilities(
            scopes=(Scope.DATA,), isolation=0, own_network=False, survives_worker=False, keeps=()
        )

    async def fingerprint(self) -> Fingerprint:
        return Fingerprint(works=True)

    async def run(self) -> None:
        await asyncio.Event().wait()

    def expect(self, spec: SandboxSpec) -> None:
        pass

    def image_terms(self, spec: SandboxSpec) -> Mapping[str, tuple[str, ...]]:
        return {}

    async def start(self, spec: SandboxSpec) -> Handle:
        self._ended[spec.slug] = asyncio.get_running_loop().create_future()
        return Handle(
            runtime=self.runtime,
            actor=spec.actor,
            uid=spec.uid,
            epoch=spec.epoch,
            pid=1,
            started=1,
            endpoints={"http": Endpoint(host="127.0.0.1", port=self._port, declared=8080)},
            directory=spec.directory,
        )

    async def restore(self, spec: SandboxSpec, image: Path) -> Handle:
        raise RuntimeFailure("data only")

    async def freeze(self, handle: Handle) -> None:
        pass

    async def thaw(self, handle: Handle) -> None:
        pass

    async def checkpoint(self, handle: Handle, into: Path) -> None:
        raise RuntimeFailure("data only")

    async def stop(self, handle: Handle, grace_s: float) -> None:
        ended = self._ended.pop(handle.slug, None)
        if ended is not None and not ended.done():
            ended.set_result(Exit(signal=9))

    async def wait(self, handle: Handle) -> Exit:
        ended = self._ended.get(handle.slug)
        return Exit(signal=9) if ended is None else await asyncio.shield(ended)

    async def inspect(self, handle: Handle) -> Inspection:
        return Inspection(alive=handle.slug in self._ended, frozen=False, cpu_s=0.0)

    async def sweep(self, keep: Collection[str]) -> list[str]:
        return []


class NoVault(Vault):
    """Snapshots of nothing, with names as real ones have them."""

    def __init__(self, directory: Path) -> None:
        super().__init__(LocalStore(directory), Keys(b"k" * 32), None)

    async def save(
        self,
        owner: SnapshotOwner,
        directories: Mapping[str, Path],
        *,
        parent: str | None,
        image: Path | None = None,
    ) -> Saved:
        return Saved(
            id=new_name(owner.epoch),
            bytes_total=0,
            bytes_written=0,
            objects=0,
            files=0,
            skipped=0,
        )

    async def restore(
        self,
        namespace: str,
        uid: str,
        snapshot_id: str,
        into: Mapping[str, Path],
        *,
        owner: Owner | None = None,
        memory: Memory | None = None,
    ) -> Restored:
        return Restored(bytes_total=0, bytes_read=0, objects=0, files=0)
