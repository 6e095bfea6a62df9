"""What a worker's death leaves, and what the next worker makes of it. The rest of a sandbox's
life is in tests/contract/driver.py."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from runtimes import procfs
from runtimes.base import RuntimeFailure, SandboxSpec
from runtimes.cgroups import Tree, find_tree
from runtimes.ports import Ports
from runtimes.procfs import Pid
from runtimes.records import Record, Records
from runtimes.sandboxes import Sandboxes
from runtimes.spawn import spawn


@pytest.fixture
def ports() -> Iterator[Ports]:
    made = Ports()
    yield made
    made.close()


@pytest.fixture(params=["cgroup", "signals"])
def tree(request: pytest.FixtureRequest) -> Tree | None:
    if request.param == "signals":
        return None
    found = find_tree()
    if found is None:
        pytest.skip("no writable cgroup2 here")
    return found


def spec(directory: Path) -> SandboxSpec:
    return SandboxSpec(
        actor="demo/c1",
        uid=os.urandom(8).hex(),
        epoch=1,
        directory=directory / "run",
        command=("sleep", "60"),
        working_dir=None,
        env={},
        ports={},
        durable={},
        log=directory / "log",
    )


def sleeper(**env: str) -> Pid:
    environment = {"PATH": os.environ["PATH"], **env}
    return procfs.identify(spawn(["sleep", "60"], env=environment, cwd=None, output=2))


def reap(process: Pid) -> None:
    os.waitpid(process.pid, 0)


async def test_a_start_that_fails_ends_what_it_began(
    tmp_path: Path, tree: Tree | None, ports: Ports
) -> None:
    sandboxes = Sandboxes(tmp_path / "driver", tree=tree, ports=ports)
    begun = sleeper()
    with pytest.raises(RuntimeFailure, match="half way"):
        async with sandboxes.starting(spec(tmp_path)) as sandbox:
            sandboxes.began(sandbox, begun)
            raise RuntimeFailure("half way")
    assert procfs.stat(begun.pid) is None
    assert list(Records(tmp_path / "driver")) == []
    assert not (tmp_path / "run" / "output").exists()


async def test_a_place_that_cannot_be_written_is_a_failure_that_may_pass(
    tmp_path: Path, tree: Tree | None, ports: Ports
) -> None:
    sandboxes = Sandboxes(tmp_path / "driver", tree=tree, ports=ports)
    (tmp_path / "run").write_text("not a directory")
    with pytest.raises(RuntimeFailure, match="cannot start") as failure:
        async with sandboxes.starting(spec(tmp_path)):
            pass
    assert failure.value.retryable
    assert list(Records(tmp_path / "driver")) == []


async def test_one_copy_is_not_started_twice(
    tmp_path: Path, tree: Tree | None, ports: Ports
) -> None:
    sandboxes = Sandboxes(tmp_path / "driver", tree=tree, ports=ports)
    one = spec(tmp_path)
    with pytest.raises(RuntimeFailure, match="half way"):
        async with sandboxes.starting(one):
            with pytest.raises(RuntimeFailure, match="there already"):
                async with Sandboxes(tmp_path / "driver", tree=tree, ports=ports).starting(one):
                    pass
            raise RuntimeFailure("half way")


async def test_a_half_begun_start_of_a_dead_worker_is_swept(
    tmp_path: Path, tree: Tree | None, ports: Ports
) -> None:
    # The record as it stands before the first process is written down in it.
    one = spec(tmp_path)
    record = Record.of(one)
    Records(tmp_path / "driver").write(record)
    lost = sleeper(TMPDIR=str(one.directory / "tmp"))
    sandboxes = Sandboxes(tmp_path / "driver", tree=tree, ports=ports)
    assert await sandboxes.sweep(()) == [one.slug]
    assert not procfs.is_alive(lost)
    reap(lost)


async def test_an_orphan_of_a_half_begun_start_is_swept_though_nobody_wrote_it_down(
    tmp_path: Path, tree: Tree | None, ports: Ports
) -> None:
    """As bwrap's process 1 when the worker is killed between its fork and its name in the record:
    a session of its own, no parent of ours, nothing of us in its environment."""
    one = spec(tmp_path)
    record = Record.of(one)
    Records(tmp_path / "driver").write(record)
    record.directory.mkdir()
    os.mkfifo(record.fifo)
    output = os.open(record.fifo, os.O_RDWR)
    words = ["sh", "-c", "setsid sh -c 'echo $$; exec sleep 60' & exit 0"]
    try:
        environment = {"PATH": os.environ["PATH"]}
        reap(procfs.identify(spawn(words, env=environment, cwd=None, output=output)))
        orphan = procfs.identify(int(os.read(output, 100)))
    finally:
        os.close(output)
    assert procfs.is_alive(orphan)
    sandboxes = Sandboxes(tmp_path / "driver", tree=tree, ports=ports)
    assert await sandboxes.sweep(()) == [one.slug]
    assert not procfs.is_alive(orphan)


async def test_a_sweep_signals_no_later_process_of_the_same_number(
    tmp_path: Path, ports: Ports
) -> None:
    innocent = sleeper()
    record = Record.of(spec(tmp_path))
    record.roots.append((innocent.pid, innocent.started - 1))
    Records(tmp_path / "driver").write(record)
    sandboxes = Sandboxes(tmp_path / "driver", tree=None, ports=ports)
    assert await sandboxes.sweep(()) == [record.slug]
    alive = procfs.is_alive(innocent)
    procfs.send(innocent, signal.SIGKILL)
    reap(innocent)
    assert alive
