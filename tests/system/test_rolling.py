"""A rolling restart of everything under load, as an upgrade does it: no request fails."""

import http.client
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.apart import Apart, apply_counter, table_server
from tests.system.load import Load, names_of
from tests.system.product import Process, started, until

pytestmark = pytest.mark.system


@pytest.fixture
def roles(tmp_path: Path) -> Iterator[tuple[tuple[Process, Process], tuple[Process, Process]]]:
    with table_server() as table:
        apart = Apart(tmp_path, table)
        workers = (apart.worker("w1"), apart.worker("w2"))
        gateways = (apart.gateway("g1"), apart.gateway("g2"))
        with started(*workers, *gateways):
            apply_counter(gateways[0], "demo")
            yield workers, gateways


def never_taken(error: Exception) -> bool:
    """What spreads requests over gateways tries the next one then: nothing was sent. Had it been
    taken, its record would be there, which the check at the end finds."""
    return isinstance(error, ConnectionRefusedError | ConnectionResetError)


def test_a10_a18_r25_a_rolling_restart_of_all_workers_and_gateways_fails_no_request(
    roles: tuple[tuple[Process, Process], tuple[Process, Process]],
) -> None:
    workers, gateways = roles
    load = Load(gateways=gateways, names=names_of("rolled", 5), forgives=never_taken)
    with load.running():
        load.goes_on()
        for process in (*workers, *gateways):
            assert process.stop() == 0, process.output()
            load.goes_on()
            process.start().ready()
            load.goes_on()
    load.check(gateways[0])
    acked = sum(map(len, load.acked.values()))
    print(f"{acked} records over four restarts, {len(load.failed)} failed")  # noqa: T201


def broken_off(error: Exception) -> bool:
    """What the client of a server that is killed sees."""
    return isinstance(error, OSError | http.client.HTTPException)


def test_a18_a_gateway_that_is_killed_fails_only_what_was_on_it(
    roles: tuple[tuple[Process, Process], tuple[Process, Process]],
) -> None:
    _, (killed, other) = roles
    there = Load(gateways=(killed,), names=names_of("on-it", 3), forgives=broken_off)
    elsewhere = Load(gateways=(other,), names=names_of("not-on-it", 3))
    with there.running(), elsewhere.running():
        for _ in range(2):
            there.goes_on()
            elsewhere.goes_on()
            killed.kill()
            elsewhere.goes_on()
            killed.start().ready()
    elsewhere.check(other)
    assert there.failed == []
    for name, acked in there.acked.items():
        # One that was on it may have been carried out, without an answer; each of them once.
        kept = other.get(name, "/records").body.decode().split()
        assert set(acked) <= set(kept) and len(kept) == len(set(kept))


def test_r12_a_drain_hands_an_actor_over_as_it_is_now_to_the_request_that_waits(
    roles: tuple[tuple[Process, Process], tuple[Process, Process]],
) -> None:
    """Its last snapshot is older: the waiting request sees what was written after it."""
    workers, (gateway, _) = roles
    assert gateway.send("POST", "moves", "/records", body=b"saved").status == 201
    assert gateway.cli("actor", "suspend", "moves", "-n", "demo").returncode == 0
    assert gateway.send("POST", "moves", "/records", body=b"since").status == 201
    first = next(w for w in workers if w.data.name == gateway.actor("moves")["worker"])
    slow: list[int] = []
    asked = threading.Thread(
        target=lambda: slow.append(gateway.get("moves", "/slow?s=1").status), name="open"
    )
    asked.start()
    until("it is open", lambda: first.metric("rouse_tickets") == 1)
    drained: list[int] = []
    drain = threading.Thread(
        target=lambda: drained.append(gateway.cli("worker", "drain", first.data.name).returncode),
        name="drain",
    )
    drain.start()
    until("it drains", lambda: "draining" in first.output() or _is_draining(gateway, first))
    kept = gateway.get("moves", "/records").body.decode().split()
    asked.join()
    drain.join()
    assert (slow, drained, kept) == ([200], [0], ["saved", "since"])
    assert gateway.actor("moves")["worker"] != first.data.name


def _is_draining(gateway: Process, worker: Process) -> bool:
    told = gateway.cli("worker", "list", "-o", "json")
    return f'"id": "{worker.data.name}"' in told.stdout and '"draining": true' in told.stdout
