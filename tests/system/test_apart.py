"""The roles apart: two workers and several gateways over one Redis. Bad days are in test_kill and
test_bad_days."""

import concurrent.futures
import hashlib
import json
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.system.apart import Apart, TableServer, apply_counter, cold_wakes, table_server
from tests.system.load import Load, names_of
from tests.system.product import Answer, Process, ask, free_port, started, template, until

pytestmark = pytest.mark.system

HEADERS = """
import http.server, json, os
class Tell(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = json.dumps(self.headers.items()).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
http.server.HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Tell).serve_forever()
"""
"""An actor that tells which fields reached it."""


@dataclass(slots=True, kw_only=True)
class World:
    apart: Apart
    table: TableServer
    workers: tuple[Process, Process]
    gateways: tuple[Process, Process]
    several: Process
    """A gateway of two processes."""

    def worker(self, name: str) -> Process:
        return next(w for w in self.workers if w.data.name == name)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with table_server() as table:
        apart = Apart(tmp_path_factory.mktemp("apart"), table)
        # One gateway's Redis user, so that the change feed can be taken from it alone.
        heard = ("on", ">deaf", "~*", "&*", "+@all")
        assert table.call("ACL", "SETUSER", "g1", *heard) == "+OK"
        workers = (apart.worker("w1", "--slots", "40"), apart.worker("w2", "--slots", "40"))
        own = f"unix://g1@{table.socket}?password=deaf"
        gateways = (apart.gateway("g1", ROUSE_REDIS_URL=own), apart.gateway("g2"))
        several = apart.gateway("g3", "--processes", "2")
        with started(*workers, *gateways, several) as _:
            apply_counter(gateways[0], "demo")
            yield World(
                apart=apart, table=table, workers=workers, gateways=gateways, several=several
            )


def asleep(gateway: Process, name: str, ns: str = "demo") -> str:
    assert gateway.get(name, ns=ns).status == 200
    done = gateway.cli("actor", "suspend", name, "-n", ns, "--wait", "30s")
    assert done.returncode == 0, done.stderr
    return name


def herd(gateways: tuple[Process, ...], name: str) -> list[Answer]:
    with concurrent.futures.ThreadPoolExecutor(200) as pool:
        return list(pool.map(lambda n: gateways[n % len(gateways)].get(name), range(200)))


def test_a23_a35_a_herd_through_two_gateways_makes_one_wake_and_200_right_answers(
    world: World,
) -> None:
    name = asleep(world.gateways[0], "herd")
    before = cold_wakes(*world.workers)
    answers = herd(world.gateways, name)
    assert [a.status for a in answers] == [200] * 200
    assert sorted(a.json()["file"] for a in answers) == list(range(2, 202))
    assert cold_wakes(*world.workers) == before + 1


def test_a23_a35_a_herd_through_two_processes_of_a_gateway_makes_one_wake(world: World) -> None:
    several = world.several
    until("the other process tells", lambda: several.metric("rouse_inflight", process="1") == 0)
    name = asleep(several, "processes")
    before = cold_wakes(*world.workers)
    answers = herd((several,), name)
    assert [a.status for a in answers] == [200] * 200
    assert sorted(a.json()["file"] for a in answers) == list(range(2, 202))
    assert cold_wakes(*world.workers) == before + 1

    def both() -> bool:
        served = several.metric("rouse_requests_total", status="200")
        by_other = several.metric("rouse_requests_total", status="200", process="1")
        return served == 201 and 0 < by_other < 201

    until("both processes served some of it", both)


def test_r7_equal_names_in_two_namespaces_never_meet(world: World) -> None:
    one, other = world.gateways
    apply_counter(one, "blue", env=[{"name": "GREETING", "value": "blue"}])
    apply_counter(other, "green", env=[{"name": "GREETING", "value": "green"}])
    for turn in range(1, 4):
        for ns, times in (("blue", 1), ("green", 2)):
            told = [one.get("same", ns=ns).json() for _ in range(times)][-1]
            assert (told["actor"], told["greeting"]) == (f"{ns}/same", ns)
            assert told["file"] == turn * times
        assert other.cli("actor", "suspend", "same", "-n", "blue").returncode == 0
        assert other.state("same", "green") == "RUNNING"
        assert other.cli("actor", "suspend", "same", "-n", "green").returncode == 0


def test_a1_a_post_of_50_mb_to_a_sleeping_actor_passes_gateway_and_door_whole(world: World) -> None:
    name = asleep(world.gateways[0], "large")
    body = hashlib.shake_256(b"hop").digest(50_000_000)
    answer = world.gateways[0].send("POST", name, "/echo", body=body, timeout=120)
    assert answer.status == 200
    assert hashlib.sha256(answer.body).digest() == hashlib.sha256(body).digest()


def on(gateway: Process, worker: str) -> list[str]:
    found = gateway.cli("actor", "list", "-n", "demo", "-o", "json")
    assert found.returncode == 0, found.stderr
    actors = json.loads(found.stdout)["items"]
    return [a["name"] for a in actors if a["worker"] == worker and a["state"] != "SUSPENDED"]


def test_r9_a_stale_route_is_repeated_and_a_drain_moves_actors_without_a_failed_request(
    world: World,
) -> None:
    deaf, hears = world.gateways
    assert deaf.get("moved").status == 200
    first = world.worker(deaf.actor("moved")["worker"])
    load = Load(gateways=world.gateways, names=names_of("drained", 6))
    assert [hears.get(name).status for name in load.names] == [200] * 6
    # From here on no word of a change reaches the gateway that has the route.
    assert world.table.call("ACL", "SETUSER", "g1", "resetchannels") == "+OK"
    until("it is deaf", lambda: "change feed is away" in deaf.output())
    with load.running():
        load.goes_on()
        drained = hears.cli("worker", "drain", first.data.name)
        assert drained.returncode == 0, drained.stderr
        load.goes_on()
        assert on(hears, first.data.name) == []
        assert first.metric("rouse_slots", kind="free") == 40
    load.check(hears)
    assert hears.get("moved").json()["file"] == 2
    assert hears.actor("moved")["worker"] != first.data.name

    repeats = deaf.metric("rouse_repeats_total", cause="stale-route")
    answer = deaf.send("POST", "moved", "/records", body=b"once")
    assert answer.status == 201 and answer.json()["number"] == 1
    assert deaf.metric("rouse_repeats_total", cause="stale-route") == repeats + 1
    large = hashlib.shake_256(b"stale").digest(1_000_000)
    assert asleep(hears, "moved") and hears.get("moved").status == 200
    answer = deaf.send("POST", "moved", "/echo", body=large)
    assert answer.status == 200 and answer.body == large

    assert world.table.call("ACL", "SETUSER", "g1", "&*") == "+OK"
    assert first.stop() == 0
    first.start().ready()


def test_a_worker_that_is_ended_under_load_fails_no_request(world: World) -> None:
    load = Load(gateways=world.gateways, names=names_of("ended", 6))
    with load.running():
        load.goes_on()
        ended = world.worker(world.gateways[0].actor("ended0")["worker"])
        assert ended.stop() == 0, ended.output()
        load.goes_on()
        ended.start().ready()
        load.goes_on()
    load.check(world.gateways[1])


def test_a_gateway_that_is_ended_under_load_fails_no_request_that_it_took(world: World) -> None:
    ended = world.apart.gateway("g4")

    def never_taken(error: Exception) -> bool:
        # Reset: made by the kernel in the instant between our last accept and the close. Had it
        # been taken, its record would be there, which the check finds.
        return isinstance(error, ConnectionRefusedError | ConnectionResetError)

    load = Load(gateways=(ended,), names=names_of("left", 6), forgives=never_taken)
    with started(ended):
        with load.running():
            load.goes_on()
            assert ended.stop() == 0, ended.output()
    load.check(world.gateways[0])


def test_a_gateway_of_two_processes_ends_as_one_does(world: World) -> None:
    ended = world.apart.gateway("g5", "--processes", "2")
    slow = threading.Event()

    def answered() -> Answer:
        slow.set()
        return ended.get("slow", "/slow?s=1.5")

    with started(ended), concurrent.futures.ThreadPoolExecutor(8) as pool:
        assert ended.get("slow").status == 200
        waiting = [pool.submit(answered) for _ in range(8)]
        until("they are under way", lambda: ended.metric("rouse_inflight") == 8)
        assert ended.stop() == 0, ended.output()
        assert [each.result().status for each in waiting] == [200] * 8


@pytest.mark.parametrize("exposed", ["DOOR", "RPC", "ADMIN"])
def test_a_worker_that_others_could_reach_does_not_start_without_a_key(
    world: World, tmp_path: Path, exposed: str
) -> None:
    port = free_port()
    listen = {f"ROUSE_{exposed}_LISTEN": f"0.0.0.0:{port}"}
    worker = world.apart.worker(str(tmp_path / "open"), **listen)
    arguments = ["--redis-url", world.table.url, "--data", str(worker.data)]
    if exposed != "ADMIN":
        arguments += ["--admin", f"127.0.0.1:{worker.admin}"]
    done = worker.cli("worker", *arguments, **worker.environment)
    assert done.returncode == 2
    assert f"{exposed.lower()}.listen 0.0.0.0:{port}" in done.stderr
    assert "shared_key_file" in done.stderr


def test_with_a_key_the_hop_goes_over_tcp_and_opens_for_nobody_else(tmp_path: Path) -> None:
    secret = "a shared key of a test".replace(" ", "-")
    key = tmp_path / "shared.key"
    key.write_text(secret)
    key.chmod(0o600)
    door, rpc = free_port(), free_port()
    reach = {
        "ROUSE_DOOR_LISTEN": f"0.0.0.0:{door}",
        "ROUSE_DOOR_ADVERTISE": f"127.0.0.1:{door}",
        "ROUSE_RPC_LISTEN": f"0.0.0.0:{rpc}",
        "ROUSE_RPC_ADVERTISE": f"127.0.0.1:{rpc}",
    }
    with table_server() as table:
        apart = Apart(tmp_path, table, ROUSE_SHARED_KEY_FILE=str(key))
        worker, gateway = apart.worker("w1", **reach), apart.gateway("g1")
        with started(worker, gateway):
            apply_headers(gateway, secret)
            told = dict(gateway.get("h1", ns="tell", headers=FORGED).json())
            uid = json.loads(admin(gateway, "/v1/namespaces/tell/actors/h1", secret).body)["uid"]

            hop = {"Host": "h1", "Rouse-Actor": "tell/h1", "Rouse-Uid": uid, "Rouse-Epoch": "1"}
            for given in ({}, {"Rouse-Hop-Key": secret}, {"Rouse-Hop-Key": "x" * 64}):
                refused = ask(door, headers={**hop, **given})
                assert (refused.status, refused.reason) == (403, "forbidden")
            for given in ({}, {"Authorization": f"Bearer {secret}"}):
                for call in ("status", "drain", "wake"):
                    assert b"h1" not in cut_off(rpc, call, secret if given else "")
            assert admin(gateway, "/v1/workers", None).status == 401
            assert json.loads(admin(gateway, "/v1/workers", secret).body)["items"]
            other = gateway.get("h2", ns="tell", headers=FORGED)
            assert other.status == 200
            output = worker.output() + gateway.output()
    assert not [name for name in told if name.lower().startswith("rouse-")]
    assert told["X-Own"] == "kept"
    assert secret not in output


def cut_off(port: int, call: str, shown: str) -> bytes:
    """All that somebody hears at the RPC who asks without a proof of the key, though perhaps with
    the key itself: the greeting, and the end."""
    body = b"\x93\x01" + bytes([0xA0 + len(call)]) + call.encode() + b"\xc0"
    with socket.create_connection(("127.0.0.1", port), timeout=10) as line:
        line.sendall(len(body).to_bytes(4, "big") + body + shown.encode())
        heard = b""
        try:
            while more := line.recv(4096):
                heard += more
        except ConnectionResetError:
            pass
    assert len(heard) < 64, heard
    return heard


FORGED = {
    "Rouse-Actor": "tell/other",
    "Rouse-Uid": "forged",
    "Rouse-Epoch": "99",
    "Rouse-Hop-Key": "forged",
    "ROUSE-anything": "forged",
    "X-Own": "kept",
}


def admin(gateway: Process, path: str, key: str | None) -> Answer:
    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    return ask(gateway.admin, path=path, headers=headers)


def apply_headers(gateway: Process, key: str) -> None:
    document = template(
        "headers",
        "tell",
        command=["python3", "-S", "-c", HEADERS],
        ports=[{"name": "http", "port": 8080}],
        create={"onRequest": True},
    )
    answer = ask(
        gateway.admin,
        "POST",
        "/v1/templates",
        headers={"Content-Type": "application/json", "Authorization": f"Bearer {key}"},
        body=json.dumps(document).encode(),
    )
    assert answer.status in (200, 201), answer.body
