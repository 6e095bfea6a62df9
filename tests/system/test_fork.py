"""Forks through the started product, of whichever class `auto` is here: files go with them, and
what is deleted, put to sleep or cut off meanwhile takes nothing from either."""

from collections.abc import Iterator

import pytest

from tests.system.product import Process, counter, role, started

pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    with started(role("up", tmp_path_factory.mktemp("up"))) as process:
        assert process.apply(counter()).status == 200
        yield process


def count(up: Process, actor: str) -> int:
    answer = up.get(actor)
    assert answer.status == 200, answer
    assert answer.json()["actor"] == f"demo/{actor}"
    return int(answer.json()["file"])


def fork(up: Process, source: str, to: str, code: int = 0) -> str:
    done = up.cli("actor", "fork", source, to, "-n", "demo")
    assert done.returncode == code, done.stderr
    return done.stderr


def test_a_running_actor_and_its_fork_go_apart_from_the_same_files(up: Process) -> None:
    assert [count(up, "a") for _ in range(3)] == [1, 2, 3]
    before = up.actor("a")
    fork(up, "a", "b")
    told = up.actor("b")
    assert told["state"] == "SUSPENDED" and told["uid"] != before["uid"]
    assert up.actor("a")["residence"]["pid"] == before["residence"]["pid"]
    assert [count(up, "b"), count(up, "b"), count(up, "a")] == [4, 5, 4]
    assert "already" in fork(up, "a", "b", code=1)
    assert count(up, "b") == 6


def test_a_sleeping_actors_fork_outlives_it(up: Process) -> None:
    assert [count(up, "old") for _ in range(2)] == [1, 2]
    assert up.cli("actor", "suspend", "old", "-n", "demo", "--wait", "10s").returncode == 0
    fork(up, "old", "young")
    assert up.cli("actor", "delete", "old", "-n", "demo").returncode == 0
    fork(up, "old", "none", code=4)
    assert up.actor("none") is None
    assert count(up, "young") == 3
