"""Hostile programs under the real `bubblewrap` driver: as root has it, and as others do."""

import contextlib
import json
import os
import secrets
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lifecycle.snapshots.tree import TreeUnfit, walk
from runtimes import landlock, seccomp
from runtimes.base import Driver, Handle, Resources
from runtimes.bubblewrap import Bubblewrap
from runtimes.cgroups import find_tree
from runtimes.ports import Ports
from tests.contract.driver import Bench, until

PROGRAM = Path(__file__).with_name("hostile.py")
FOUND = find_tree()
TREE = None if FOUND is None else FOUND.with_version_1()
CONTROLLERS = frozenset() if TREE is None else TREE.controllers
is_filtered = pytest.mark.skipif(
    not seccomp.filters().programs and os.environ.get("CI") != "true",
    reason=seccomp.filters().why_not,
)


def command(attempt: str, *arguments: str) -> tuple[str, ...]:
    return ("python3", str(PROGRAM), attempt, *arguments)


async def attempt(bench: Bench, *words: str, **changes: Any) -> dict[str, Any]:
    handle = await bench.start(command=command(*words), **changes)
    how = await bench.driver.wait(handle)
    said = await whole_log(bench, handle)
    assert how.code == 0, said
    found: dict[str, Any] = json.loads(said)
    return found


async def whole_log(bench: Bench, handle: Handle) -> bytes:
    """What it said to its end; by then the pump may still be at work."""

    async def told() -> bytes | None:
        said = bench.log_of(handle)
        return said if said.endswith(b"\n") else None

    said: bytes = await until(told)
    return said


class Escapes:
    own_network: bool

    @pytest.fixture(autouse=True)
    def ports(self) -> Iterator[None]:
        self.book = Ports()
        yield
        self.book.close()

    def make(self, root: Path) -> Driver:
        raise NotImplementedError

    @pytest.fixture
    async def bench(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
        monkeypatch.setenv("WORKER_SECRET", "of-the-worker-alone")
        bench = Bench(root=tmp_path, make=self.make)
        async with bench.working():
            yield bench

    @is_filtered
    async def test_other_processes_are_out_of_sight_and_reach(self, bench: Bench) -> None:
        assert await attempt(bench, "processes", str(os.getpid())) == {
            "seen": [1, 2],
            "signal": "ESRCH",
            "everyone": "ESRCH",
            "ptrace": "EPERM",
            "memory": "EPERM",
            "environment of process 1": "",
            "descriptors": [0, 1, 2],
            "terminal": "ENXIO",
        }

    @is_filtered
    async def test_there_are_no_privileges_and_none_to_be_had(self, bench: Bench) -> None:
        none = dict.fromkeys(("Eff", "Prm", "Bnd", "Amb"), 0)
        assert await attempt(bench, "privileges") == {
            **none,
            "no new privileges": "1",
            "filter": "2",
            "be root": "EPERM" if self.own_network else "EINVAL",
            "setuid programs": False,
        }

    @is_filtered
    async def test_no_mount_no_namespace_no_device(self, bench: Bench) -> None:
        found = await attempt(bench, "mounts")
        assert found.pop("devices") == found.pop("places") == []
        assert found.pop("clone into a user namespace") == "ENOSYS"
        assert set(found.values()) == {"EPERM"}, found

    @is_filtered
    async def test_the_kernel_tells_and_takes_nothing(self, bench: Bench) -> None:
        found = await attempt(bench, "kernel")
        refused = {"EPERM", "EACCES", "EROFS", "ENOENT"}
        assert set(found.values()) <= refused, found
        assert found["terminal, by upper bits"] == found["keyring"] == "EPERM"

    @is_filtered
    async def test_sockets_lead_to_nothing_of_the_host(self, bench: Bench) -> None:
        name = f"rouse-test-{secrets.token_hex(8)}"
        with (
            socket.socket(socket.AF_UNIX) as abstract,
            socket.create_server(("127.0.0.1", 0)) as tcp,
        ):
            abstract.bind("\0" + name)
            abstract.listen()
            found = await attempt(bench, "sockets", name, str(tcp.getsockname()[1]))
        strange = {found.pop(kind) for kind in ("packet", "vsock", "alg")}
        assert strange == {"EAFNOSUPPORT"} and found.pop("uevents") == "EPROTONOSUPPORT"
        assert found.pop("routes") == "done" and found.pop("raw") == "EPERM"
        if self.own_network:
            assert found == {"abstract": "ECONNREFUSED", "loopback": "ECONNREFUSED"}
        else:
            # The network is the worker's: said in docs/security.md.
            held = "done" if landlock.why_not() else "EPERM"
            assert found == {"abstract": held, "loopback": "done"}

    async def test_nothing_can_be_written_where_it_would_cost_disk(self, bench: Bench) -> None:
        found = await attempt(bench, "disk")
        assert set(found.values()) <= {"EROFS", "EACCES", "ENOENT", "EPERM"}, found

    @pytest.mark.parametrize("place", ["/tmp", "/var/tmp", "/dev/shm"])
    async def test_temporary_files_are_bounded(self, bench: Bench, place: str) -> None:
        handle = await bench.start(
            command=command("temporary", place, "80"), resources=Resources(memory_bytes=64 << 20)
        )
        how = await bench.driver.wait(handle)
        # They are memory: what bounds that may be quicker than the size of the place.
        assert how.oom or json.loads(await whole_log(bench, handle)) == {place: "ENOSPC"}

    async def test_a_snapshot_is_not_led_out_by_links_that_change_under_it(
        self, bench: Bench, tmp_path: Path
    ) -> None:
        outside = tmp_path / "outside"
        outside.mkdir()
        (outside / "secret").write_text("of the host")
        handle = await bench.start(command=command("swaps", "/data", str(outside)))
        data = bench.root / "copies" / handle.uid / "data"

        async def is_swapping() -> bool:
            return b"swapping" in bench.log_of(handle)

        await until(is_swapping)
        read = set[bytes]()
        for _ in range(300):
            # Caught in the act it fails: no snapshot is better than one of elsewhere.
            with contextlib.suppress(TreeUnfit, OSError):
                read.update(os.read(found.fd, 100) for found in walk(data) if found.kind == "f")
        assert read == {b"mine"}


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: a network and a user id for each")
class TestEscapes(Escapes):
    own_network = True

    def make(self, root: Path) -> Driver:
        return Bubblewrap(root, tree=TREE, ports=self.book, privileged=True)

    @pytest.mark.skipif("memory" not in CONTROLLERS, reason="no memory controller here")
    async def test_many_processes_together_stay_within_the_memory(self, bench: Bench) -> None:
        limit = 64 << 20
        found = await attempt(
            bench, "memory", str(limit // 2), resources=Resources(memory_bytes=limit)
        )
        # Each fits; all six do not, so the kernel takes some.
        assert 1 <= found["killed"] <= 6


class TestEscapesUnprivileged(Escapes):
    own_network = False

    def make(self, root: Path) -> Driver:
        return Bubblewrap(root, tree=None, ports=self.book, privileged=False)
