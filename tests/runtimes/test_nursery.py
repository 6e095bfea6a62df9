"""Which zygotes there are, and when they go; parents are begun for real, by `process`."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from runtimes import procfs
from runtimes.base import Preload, Resources, SandboxSpec
from runtimes.nursery import Nursery, kind_of
from runtimes.ports import Ports
from runtimes.process import Process


def spec(root: Path, **changes: Any) -> SandboxSpec:
    plain = SandboxSpec(
        actor="demo/c1",
        uid="u1",
        epoch=1,
        directory=root / "run",
        command=("python3", "-m", "json.tool"),
        working_dir=root,
        env={},
        ports={},
        durable={},
        preload=Preload(template="demo/web", modules=("json",), env={}),
        log=root / "log",
    )
    return replace(plain, **changes)


@pytest.fixture
async def driver(tmp_path: Path) -> AsyncIterator[Process]:
    made = Process(tmp_path / "driver", tree=None, ports=Ports())
    yield made
    await made.nursery.close()


async def forked(nursery: Nursery, wanted: SandboxSpec) -> int:
    """The pid of the parent; the child ends, for nobody tells it who it is."""
    zygote, line = await nursery.fork(wanted)
    line.close()
    return zygote.process.pid


def test_nothing_of_one_actor_makes_a_kind_and_all_of_its_template_does(tmp_path: Path) -> None:
    one = spec(tmp_path)
    two = spec(tmp_path, actor="demo/c2", uid="u2", epoch=5, env={"HTTP_PROXY": "a-token"})
    assert kind_of(one) == kind_of(two)
    assert one.preload is not None
    for other in (
        replace(one, preload=replace(one.preload, template="other/web")),
        replace(one, preload=replace(one.preload, env={"A": "b"})),
        replace(one, preload=replace(one.preload, modules=("json", "re"))),
        replace(one, command=("python3", "-u", "-m", "json.tool")),
        replace(one, working_dir=tmp_path / "x"),
        replace(one, resources=Resources(memory_bytes=1 << 30)),
    ):
        assert kind_of(one) != kind_of(other)


async def test_one_parent_serves_its_kind_until_it_has_forked_enough(
    driver: Process, tmp_path: Path
) -> None:
    driver.nursery.most_forks = 2
    first, again, later = [await forked(driver.nursery, spec(tmp_path)) for _ in range(3)]
    assert first == again != later


async def test_templates_do_not_share_a_parent(driver: Process, tmp_path: Path) -> None:
    other = Preload(template="other/web", modules=("json",), env={})
    mine = await forked(driver.nursery, spec(tmp_path))
    assert await forked(driver.nursery, spec(tmp_path, preload=other)) != mine


async def test_who_forked_least_lately_makes_room(driver: Process, tmp_path: Path) -> None:
    driver.nursery.most = 2
    kinds = [
        spec(tmp_path, preload=Preload(template=f"demo/t{number}", modules=(), env={}))
        for number in range(3)
    ]
    first, second = [await forked(driver.nursery, kind) for kind in kinds[:2]]
    assert await forked(driver.nursery, kinds[0]) == first
    await forked(driver.nursery, kinds[2])
    assert await forked(driver.nursery, kinds[0]) == first
    assert await forked(driver.nursery, kinds[1]) != second


async def test_a_later_worker_ends_what_was_left_and_keeps_its_own(
    driver: Process, tmp_path: Path
) -> None:
    mine = await forked(driver.nursery, spec(tmp_path))
    await driver.sweep(())
    assert await forked(driver.nursery, spec(tmp_path)) == mine
    other = Process(tmp_path / "driver", tree=None, ports=Ports())
    await other.sweep(())
    assert (found := procfs.stat(mine)) is None or found.is_over
    assert list((tmp_path / "driver" / "zygotes").glob("*.json")) == []
