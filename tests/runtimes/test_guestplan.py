"""What a guest is told, decided from a spec alone."""

from pathlib import Path
from typing import Any

import msgspec

from runtimes import guestplan, rootfs
from runtimes.base import Resources, SandboxSpec


def spec(**changes: Any) -> SandboxSpec:
    plain = SandboxSpec(
        actor="demo/c1",
        uid="u1",
        epoch=3,
        directory=Path("/nowhere/run"),
        command=("python3", "app.py"),
        working_dir=None,
        env={"TOKEN": "t"},
        ports={"http": 8080},
        durable={"/data": Path("/nowhere/data")},
        log=Path("/nowhere/log"),
    )
    return msgspec.structs.replace(plain, **changes)


def test_memory_is_the_actors_and_the_kernels_in_whole_steps() -> None:
    assert guestplan.memory_bytes(spec()) == guestplan.STANDARD_BYTES
    odd = spec(resources=Resources(memory_bytes=100_000_001))
    size = guestplan.memory_bytes(odd)
    assert size % (2 << 20) == 0 and 0 <= size - 100_000_001 - guestplan.GUEST_BYTES < 2 << 20


def test_only_durable_directories_are_written() -> None:
    shared = guestplan.shares(spec(), Path("/base"), [])
    assert [each.place for each in shared if each.may_write] == ["/data"]
    assert shared[0] == guestplan.Shared(Path("/base/etc"), "/etc")
    told = guestplan.plan(spec(), {"A": "b"}, shared, [])
    assert [m["place"] for m in told["mounts"]] == [each.place for each in shared]
    assert [m["source"] for m in told["mounts"]] == [str(n) for n in range(len(shared))]


def test_it_runs_as_the_actors_user_where_the_template_says() -> None:
    told = guestplan.plan(spec(resources=Resources(pids=20)), {"A": "b"}, [], [])
    assert (told["user"], told["cwd"], told["env"]) == (rootfs.USER, "/data", ["A=b"])
    assert 20 in told["limits"].values()
    assert guestplan.plan(spec(durable={}), {}, [], [])["cwd"] == "/tmp"


def test_the_environment_listens_on_all_addresses_unless_told() -> None:
    env = guestplan.environment(spec())
    assert (env["HOST"], env["HOME"], env["PORT"]) == ("0.0.0.0", "/data", "8080")
    assert guestplan.environment(spec(env={"HOST": "::"}))["HOST"] == "::"
    assert guestplan.about(spec(), env)["epoch"] == 3
