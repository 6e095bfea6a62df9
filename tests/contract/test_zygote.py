"""The driver's contract once more, for actors that are forked from a preloaded parent, and what
nobody may find out or reach by having been forked."""

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest

from runtimes import procfs
from runtimes.base import Driver, Preload, RuntimeFailure, SandboxSpec
from runtimes.bubblewrap import Bubblewrap
from runtimes.cgroups import find_tree
from runtimes.interpreter import NotPython, parse
from runtimes.ports import Ports
from runtimes.process import Process
from tests.contract.driver import Bench, DriverContract, until
from tests.contract.test_bubblewrap import TestBubblewrap as PlainBubblewrap

HERE = Path(__file__).parent
MODULES = ("http.server", "json", "urllib.parse", "random", "ssl", "uuid", "threading")


def parents() -> set[procfs.Pid]:
    """Zygotes of this process's drivers, and nothing that was forked from one."""
    mine = procfs.children(procfs.identify(os.getpid()))
    # In bubblewrap there is bwrap in between; and others may be testing beside us.
    found = set()
    for each in mine.union(*(procfs.children(child) for child in mine)):
        with contextlib.suppress(OSError):
            environment = Path(f"/proc/{each.pid}/environ").read_bytes()
            if b"ROUSE_ROOM=" in environment and procfs.is_alive(each):
                found.add(each)
    return found


def placed(root: Path, modules: dict[str, str]) -> Path:
    """A directory with these modules, which other users may read."""
    root.chmod(0o755)
    where = root / "program"
    where.mkdir()
    for name, text in modules.items():
        (where / f"{name}.py").write_text(text + "\n")
    return where


@dataclass
class ForkingBench(Bench):
    """Whatever is a Python program is forked."""

    modules: tuple[str, ...] = MODULES

    def spec(self, *arguments: str, **changes: Any) -> SandboxSpec:
        plain = super().spec(*arguments, **changes)
        with contextlib.suppress(NotPython):
            parse(plain.command)
            preload = Preload(template="demo/web", modules=self.modules, env={})
            return msgspec.structs.replace(plain, preload=plain.preload or preload)
        return plain

    def leftovers(self) -> set[procfs.Pid]:
        return super().leftovers() - parents()


class Forking(DriverContract):
    """What is so in every class that forks."""

    rounds = 20

    @pytest.fixture
    async def bench(self, tmp_path: Path) -> AsyncIterator[Bench]:
        bench = ForkingBench(root=tmp_path, make=self.make)
        before = parents()
        async with bench.working():
            yield bench
            driver = bench.driver
            assert isinstance(driver, Process | Bubblewrap)
            for handle in bench.begun:
                await driver.stop(handle, 0)
            await driver.nursery.close()
            assert parents() - before == set()

    async def test_the_second_is_forked_from_the_first_ones_parent(self, bench: Bench) -> None:
        before = parents()
        await bench.started()
        first = parents() - before
        await bench.started()
        assert parents() - before == first and len(first) == 1

    async def test_no_two_draw_the_same(self, bench: Bench) -> None:
        command = ("python3", str(HERE / "forked.py"))
        drawn = [await bench.tell(await bench.started(command=command), "/draw") for _ in range(2)]
        for name in drawn[0]:
            assert drawn[0][name] != drawn[1][name], name

    async def test_runs_as_main_with_its_arguments(self, bench: Bench) -> None:
        for command in (
            ("python3", str(HERE / "forked.py"), "one", "--two"),
            ("python3", "-m", "forked", "one", "--two"),
        ):
            seen = await bench.tell(await bench.started(command=command), "/main")
            assert seen["name"] == "__main__" and seen["argv"][1:] == ["one", "--two"]
            assert Path(seen["argv"][0]).name == "forked.py"
            assert seen["first"] == str(HERE)

    async def test_nothing_of_the_actor_reaches_the_parent(self, bench: Bench) -> None:
        before = parents()
        handle = await bench.started(env={"TOKEN": "of-the-actor-alone"})
        assert (await bench.tell(handle, "/env"))["TOKEN"] == "of-the-actor-alone"
        (parent,) = parents() - before
        environment, opened = _held(parent.pid)
        assert b"of-the-actor" not in environment
        assert not [path for path in opened if str(handle.directory) in path]

    async def test_a_changed_file_brings_a_new_parent(self, bench: Bench, tmp_path: Path) -> None:
        where = placed(
            tmp_path,
            {
                "its_own": "word = 'old'",
                "main": f"import sys; sys.path.append({str(HERE)!r})\n"
                "import its_own, forked; forked.serve()",
            },
        )
        changes: dict[str, Any] = {
            "command": ("python3", "-B", "main.py"),
            "working_dir": where,
            "read_only": (HERE,),
            "preload": Preload(template="demo/own", modules=("its_own",), env={}),
        }
        one = await bench.started(**changes)
        assert await bench.tell(one, "/word") == "old"
        (where / "its_own.py").write_text("word = 'newer'\n")
        assert await bench.tell(await bench.started(**changes), "/word") == "newer"
        # Who was forked before lives on, and how it ends is still known.
        assert await bench.tell(one, "/word") == "old"
        await bench.try_get(one, "/exit?code=5")
        assert (await bench.driver.wait(one)).code == 5

    async def test_a_dead_parent_is_replaced_and_its_children_live_on(self, bench: Bench) -> None:
        before = parents()
        one = await bench.started()
        (parent,) = parents() - before
        procfs.send(parent, signal.SIGKILL)
        two = await bench.started()
        assert (await bench.get(one)).body == (await bench.get(two)).body == "hello"
        await bench.try_get(one, "/exit?code=3")
        # Nobody is left who could know how, but that it ended is known.
        assert (await bench.driver.wait(one)).code is None

    async def test_a_module_that_cannot_be_imported_is_named(self, bench: Bench) -> None:
        preload = Preload(template="demo/bad", modules=("json", "no_such_module"), env={})
        before = parents()
        with pytest.raises(RuntimeFailure, match=r"no_such_module.*ModuleNotFoundError"):
            await bench.start(preload=preload)
        assert parents() == before

    @pytest.mark.parametrize(
        ("module", "why"), [("with_thread", "2 threads"), ("with_shared_memory", "would share")]
    )
    async def test_what_a_fork_would_break_or_share_is_refused(
        self, bench: Bench, module: str, why: str, tmp_path: Path
    ) -> None:
        where = placed(
            tmp_path,
            {
                "with_thread": "import threading, time\n"
                "threading.Thread(target=time.sleep, args=(600,), daemon=True).start()",
                "with_shared_memory": "import mmap\nheld = mmap.mmap(-1, 4096)",
            },
        )
        preload = Preload(template="demo/bad", modules=(module,), env={})
        command = ("python3", "-m", "with_thread")
        with pytest.raises(RuntimeFailure, match=why):
            await bench.start(command=command, working_dir=where, preload=preload)

    async def test_other_commands_are_refused_by_name(self, bench: Bench) -> None:
        preload = Preload(template="demo/bad", modules=("json",), env={})
        with pytest.raises(RuntimeFailure, match="cannot preload for this command"):
            await bench.start(command=("sleep", "1"), preload=preload)

    async def test_many_at_once_have_one_parent(self, bench: Bench) -> None:
        before = parents()
        async with asyncio.TaskGroup() as group:
            starts = [
                group.create_task(bench.started(), name=f"start {number}") for number in range(6)
            ]
        assert len({start.result().pid for start in starts}) == 6
        assert len(parents() - before) == 1


class TestProcessForks(Forking):
    @pytest.fixture(autouse=True)
    def ports(self) -> Iterator[None]:
        self.book = Ports()
        yield
        self.book.close()

    def make(self, root: Path) -> Driver:
        return Process(root, tree=find_tree(), ports=self.book)


class TestProcessForksBySignals(TestProcessForks):
    def make(self, root: Path) -> Driver:
        return Process(root, tree=None, ports=self.book)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: elsewhere it is refused by name")
class TestBubblewrapForks(Forking, PlainBubblewrap):
    async def test_sees_no_process_of_the_host(self, bench: Bench) -> None:
        # Process 1, what holds its place, and the actor: no parent, no sibling.
        one, two = await bench.started(), await bench.started()
        assert await bench.tell(one, "/pids") == await bench.tell(two, "/pids") == [1, 2, 3]

    async def test_loader_variables_reach_the_program_and_not_bwrap(
        self, bench: Bench, tmp_path: Path
    ) -> None:
        # Nothing is loaded for a fork; for its parent they are, when the template says so.
        missing = str(tmp_path / "evil.so")
        handle = await bench.started(env={"LD_PRELOAD": missing})
        assert missing.encode() not in bench.log_of(handle)
        assert (await bench.tell(handle, "/env"))["LD_PRELOAD"] == missing

    async def test_rights_and_places_are_those_of_a_plain_start(self, bench: Bench) -> None:
        forked = await bench.started()
        plain = await bench.start(uid="plain", preload=None, command=("sh", "-c", "sleep 600"))
        inside = await _inside(plain.pid)

        async def has_begun() -> bool:
            # Until then it is bwrap, which filters itself as the last thing it does.
            return _status(inside)["Name"] in ("sh", "sleep")

        await until(has_begun)
        assert _rights(forked.pid) == _rights(inside)
        assert _mounts(forked.pid) == _mounts(inside)
        namespaces = [_namespaces(each) for each in (forked.pid, inside, os.getpid())]
        for name, *theirs in zip(
            namespaces[0], *(each.values() for each in namespaces), strict=True
        ):
            assert len(set(theirs)) == 3, name

    async def test_no_way_back_to_the_parent_or_over_to_a_sibling(self, bench: Bench) -> None:
        before = parents()
        command = ("python3", str(HERE / "forked.py"))
        one, two = [await bench.started(command=command) for _ in range(2)]
        (parent,) = parents() - before
        for pid in (parent.pid, two.pid):
            reached = await bench.tell(one, f"/reach?pid={pid}")
            assert reached["kill"] == "ProcessLookupError"
            assert reached["memory"] == "FileNotFoundError"
            # Refused whomever it is for, where system calls are filtered.
            assert reached["ptrace"] in ("ProcessLookupError", "PermissionError")
        tries = await bench.tell(one, "/tries")
        assert set(tries.values()) == {"PermissionError"}, tries
        # Its own user, and its parent's, who is nobody here: no root, and no other actor.
        assert [len(await bench.tell(each, "/map")) for each in (one, two)] == [2, 2]

    async def test_the_parent_has_no_rights_either(self, bench: Bench) -> None:
        before = parents()
        await bench.started()
        (parent,) = parents() - before
        status = _status(parent.pid)
        assert {name for name in status if name.startswith("Cap") and int(status[name], 16)} <= {
            "CapBnd"
        }
        assert status["NoNewPrivs"] == "1" and int(status["Uid"].split()[0]) > 1 << 30
        assert {"user", "mnt", "net", "ipc", "uts"} == {
            name
            for name, inode in _namespaces(parent.pid).items()
            if inode != _namespaces(os.getpid())[name]
        } - {"cgroup"}


async def _inside(outer: int) -> int:
    """The program of a plain sandbox: bwrap outside, its process 1, and then it."""
    found = procfs.identify(outer)
    for _ in range(2):

        async def children(parent: procfs.Pid = found) -> set[procfs.Pid]:
            return procfs.children(parent)

        (found,) = await until(children)
    return found.pid


def _held(pid: int) -> tuple[bytes, list[str]]:
    """Its environment, and what it has open."""
    process = Path(f"/proc/{pid}")
    opened = [os.readlink(link) for link in (process / "fd").iterdir()]
    return (process / "environ").read_bytes(), opened


def _status(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return dict(line.split(":\t", 1) for line in lines if ":\t" in line)


def _rights(pid: int) -> dict[str, str]:
    status = _status(pid)
    names = ("CapInh", "CapPrm", "CapEff", "CapAmb", "NoNewPrivs", "Seccomp", "Groups")
    return {name: status[name].strip() for name in names}


def _mounts(pid: int) -> list[tuple[str, str, str]]:
    """Where, and how it may be used; who made it differs."""
    found = []
    for line in Path(f"/proc/{pid}/mounts").read_text().splitlines():
        _, place, kind, options, *_ = line.split()
        flags = [word for word in options.split(",") if "=" not in word or word[:4] == "size"]
        found.append((place, kind, ",".join(sorted(flags))))
    return sorted(found)


def _namespaces(pid: int) -> dict[str, int]:
    return {
        name: os.stat(f"/proc/{pid}/ns/{name}").st_ino
        for name in ("user", "mnt", "net", "ipc", "uts", "pid", "cgroup")
    }


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: elsewhere it is refused by name")
async def test_a_first_start_may_be_a_fork(tmp_path: Path) -> None:
    # Nothing was tried before: the parent and its child's sandbox are the driver's first two.
    os.chmod(tmp_path, 0o755)
    book = Ports()
    bench = ForkingBench(
        root=tmp_path, make=lambda root: Bubblewrap(root, tree=find_tree(), ports=book)
    )
    handle = await bench.started()
    await bench.driver.stop(handle, 0)
    assert isinstance(bench.driver, Bubblewrap)
    await bench.driver.nursery.close()
    book.close()


async def test_a_worker_without_root_refuses_by_name(tmp_path: Path) -> None:
    book = Ports()
    driver = Bubblewrap(tmp_path / "driver", tree=None, ports=book, privileged=False)
    lacks = driver.capabilities().preload_lacks
    assert "root" in lacks
    spec = ForkingBench(root=tmp_path, make=lambda root: driver).spec()
    with pytest.raises(RuntimeFailure, match="cannot preload"):
        await driver.start(spec)
    book.close()
