"""The driver's contract, kept by `bubblewrap` as root and as it is for others, and from inside."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from runtimes import procfs
from runtimes.base import Driver, Resources, RuntimeFailure
from runtimes.bubblewrap import Bubblewrap
from runtimes.cgroups import find_tree
from runtimes.ports import Ports
from tests.contract.driver import Bench, DriverContract

FOUND = find_tree()
TREE = None if FOUND is None else FOUND.with_version_1()


class Confined(DriverContract):
    """What a program inside cannot do, whoever the worker is."""

    @pytest.fixture(autouse=True)
    def ports(self) -> Iterator[None]:
        self.book = Ports()
        yield
        self.book.close()

    async def test_sees_no_process_of_the_host(self, bench: Bench) -> None:
        inside = await bench.tell(await bench.started(), "/pids")
        assert inside == [1, 2]

    @pytest.mark.parametrize("place", ["/", "/usr", "/etc", "/dev", "/proc/sys/kernel", "/work"])
    async def test_writes_nowhere_outside_its_directories(self, bench: Bench, place: str) -> None:
        handle = await bench.started()
        assert (await bench.get(handle, f"/write?file={place}/mark&text=x")).status == 500

    async def test_writes_not_in_its_working_directory(self, bench: Bench) -> None:
        handle = await bench.started()
        where = (await bench.tell(handle, "/where"))["cwd"]
        assert (await bench.get(handle, f"/write?file={where}/mark&text=x")).status == 500

    async def test_reads_no_other_actors_files(self, bench: Bench) -> None:
        # Even when a template's working directory lies above rouse's own data.
        bench.root.chmod(0o755)
        other = bench.spec()
        (other.durable["/data"] / "secret").write_text("of another")
        theirs = await bench.started(
            uid=other.uid, directory=other.directory, durable=other.durable
        )
        copies = bench.root / "copies"
        handle = await bench.started(read_only=(bench.root,), directory=copies / "mine")
        assert await bench.tell(handle, f"/list?dir={bench.root}") == ["copies", "driver", "logs"]
        assert await bench.tell(handle, f"/list?dir={copies}") == []
        assert await bench.tell(handle, f"/list?dir={bench.root}/driver") == []
        assert await bench.tell(theirs, "/read?file=/data/secret") == "of another"

    async def test_rouses_own_data_cannot_be_a_working_directory(self, bench: Bench) -> None:
        with pytest.raises(RuntimeFailure, match="rouse's own data"):
            await bench.start(working_dir=bench.root / "driver")

    async def test_makes_no_user_namespace(self, bench: Bench) -> None:
        assert await bench.tell(await bench.started(), "/unshare") != 0

    async def test_its_temporary_files_are_bounded_and_its_own(self, bench: Bench) -> None:
        one = await bench.started(resources=Resources(memory_bytes=64 << 20))
        two = await bench.started()
        await bench.tell(one, "/write?file=/tmp/mark&text=x")
        assert "mark" not in await bench.tell(two, "/list?dir=/tmp")

    async def test_loader_variables_reach_the_program_and_not_bwrap(
        self, bench: Bench, tmp_path: Path
    ) -> None:
        missing = str(tmp_path / "evil.so")
        handle = await bench.started(env={"LD_PRELOAD": missing})
        said = bench.log_of(handle)
        # The loader complains once for the program; bwrap outside and inside knows nothing of it.
        assert said.count(missing.encode()) == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: a network and a user id for each")
class TestBubblewrap(Confined):
    def make(self, root: Path) -> Driver:
        return Bubblewrap(root, tree=TREE, ports=self.book, privileged=True)

    async def test_fork_bomb_stays_within_its_pids(self, bench: Bench) -> None:
        handle = await bench.started(resources=Resources(pids=20))
        begun = await bench.tell(handle, "/fork?children=100")
        assert 5 < begun < 20

    @pytest.mark.skipif(TREE is None, reason="no writable cgroup2 here")
    async def test_limits_of_a_dead_workers_sandbox_go_with_it(self, bench: Bench) -> None:
        handle = await bench.started(
            resources=Resources(memory_bytes=64 << 20, pids=20, cpu=1.0),
        )
        assert TREE is not None
        groups = [TREE.base, *TREE.beside.values()]
        assert all((place / handle.slug).is_dir() for place in groups)
        inside = {
            (place / handle.slug / "cgroup.procs").read_text().split()[-1] for place in groups
        }
        assert len(inside) == 1, "every group holds the program"
        assert await bench.make(bench.root / "driver").sweep(()) == [handle.slug]
        assert not any((place / handle.slug).exists() for place in groups)

    async def test_listens_on_exactly_its_declared_port(self, bench: Bench) -> None:
        one, two = await bench.started(), await bench.started()
        assert one.endpoints["http"].port == two.endpoints["http"].port == 8080

    async def test_cannot_reach_the_workers_loopback(self, bench: Bench) -> None:
        with socket.create_server(("127.0.0.1", 0)) as mine:
            handle = await bench.started()
            answer = await bench.get(handle, f"/connect?port={mine.getsockname()[1]}")
        assert answer.status == 500

    async def test_runs_as_a_user_that_owns_nothing_on_the_host(self, bench: Bench) -> None:
        handle = await bench.started()
        one = (await bench.tell(handle, "/where"))["uid"]
        two = (await bench.tell(await bench.started(), "/where"))["uid"]
        assert len({0, os.geteuid(), one, two}) == 3
        assert os.stat(handle.directory / "output").st_uid > 1 << 30

    async def test_a28_address_of_a_dead_sandbox_reaches_nobody(self, bench: Bench) -> None:
        dead = await bench.started()
        living = await bench.started()
        await bench.driver.stop(dead, 0)
        stale = dead.endpoints["http"]
        with pytest.raises(OSError):
            stale.open_socket()
        # Its pid was given to another sandbox meanwhile: the namespace gives it away.
        with pytest.raises(ConnectionRefusedError):
            replace(stale, netns_pid=living.endpoints["http"].netns_pid).open_socket()


class TestBubblewrapUnprivileged(Confined):
    """As for a worker that is not root: one network, no cgroup."""

    def make(self, root: Path) -> Driver:
        return Bubblewrap(root, tree=None, ports=self.book, privileged=False)

    async def test_freeze_by_signals_spares_no_process_of_the_sandbox(self, bench: Bench) -> None:
        # A program may take over process 1 of its sandbox, which is no more than it is.
        handle = await bench.started()
        inside = procfs.family([procfs.Pid(handle.pid, handle.started)])
        await bench.driver.freeze(handle)
        states = {found.state for pid in inside if (found := procfs.stat(pid.pid))}
        assert len(inside) == 3 and states == {"T"}
        await bench.driver.thaw(handle)
        assert (await bench.get(handle)).body == "hello"

    @pytest.mark.skipif(os.geteuid() == 0, reason="the kernel counts no processes for root")
    async def test_fork_bomb_stays_within_its_pids(self, bench: Bench) -> None:
        handle = await bench.started(resources=Resources(pids=20))
        begun = await bench.tell(handle, "/fork?children=100")
        assert 5 < begun < 20
