"""An actor in a machine of its own through the started product: it counts on over a sleep."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from runtimes import kernel
from runtimes.microvm import HOW_TO_GET_IT
from tests.system.product import Process, role, sandboxes, started
from tests.system.test_memory import counting

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root: a network for each actor"),
]


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Process]:
    if kernel.find() is None:
        if os.environ.get("CI") == "true":
            pytest.fail(f"CI must have it: {HOW_TO_GET_IT}")
        pytest.skip(HOW_TO_GET_IT)
    with started(role("up", tmp_path, "--runtime", "microvm")) as process:
        yield process
    assert sandboxes(process) == set()


def test_memory_goes_on_over_a_sleep_by_the_workers_own_class(up: Process) -> None:
    # Emulated, a program may take half a minute to come up where others are at work too.
    wake = {"timeout": "110s"}
    slow = {"tcpSocket": {}, "timeout": "100s"}
    assert up.apply(counting("vm", wake=wake, readiness=slow)).status == 200
    assert [up.send("GET", "a", ns="vm").json()["counted"] for _ in range(2)] == [1, 2]
    done = up.cli("actor", "suspend", "a", "-n", "vm", "--wait", "20s")
    assert done.returncode == 0, done.stderr
    answer = up.send("GET", "a", ns="vm")
    assert "cold" in answer.headers["rouse-wake"], answer
    assert answer.json()["counted"] == 3 and answer.json()["woken"] == 2
