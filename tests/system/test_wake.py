"""An actor wakes on request, through the started product: what a client sees of it."""

import concurrent.futures
import hashlib
import http.client
import re

import pytest

from tests.system.product import Process, ask, counter, template, until

pytestmark = pytest.mark.system

WAKE = re.compile(
    r"cold; total=[\d.]+, queue=[\d.]+, claim=[\d.]+, fetch=[\d.]+, restore=[\d.]+, ready=[\d.]+"
)


def sleeping(up: Process, name: str) -> str:
    """An actor that has run and is suspended."""
    assert up.get(name).status == 200
    done = up.cli("actor", "suspend", name, "-n", "demo", "--wait", "30s")
    assert done.returncode == 0, done.stderr
    assert up.state(name) == "SUSPENDED"
    return name


def test_a1_a80_a_get_to_a_sleeping_actor_is_answered_and_says_where_the_time_went(
    up: Process,
) -> None:
    first = up.get(sleeping(up, "a1"))
    assert first.status == 200 and first.json()["file"] == 2
    assert WAKE.fullmatch(first.headers["rouse-wake"])
    assert "server-timing" in first.headers and first.headers["x-request-id"]
    second = up.get("a1")
    assert second.json()["file"] == 3
    assert "rouse-wake" not in second.headers and second.headers["x-request-id"]


@pytest.mark.parametrize("size", [0, 1, 100_000, 50_000_000])
def test_a1_a_post_to_a_sleeping_actor_arrives_byte_for_byte_once(up: Process, size: int) -> None:
    name = sleeping(up, f"post{size}")
    body = hashlib.shake_256(b"rouse").digest(size)
    answer = up.send("POST", name, "/echo", body=body, timeout=120)
    assert answer.status == 200
    assert hashlib.sha256(answer.body).digest() == hashlib.sha256(body).digest()


def test_a1_a_chunked_post_of_50_mb_to_a_sleeping_actor_arrives_whole(up: Process) -> None:
    name = sleeping(up, "chunked")
    piece = hashlib.shake_256(b"piece").digest(100_000)
    connection = http.client.HTTPConnection("127.0.0.1", up.edge, timeout=120)
    try:
        connection.request(
            "POST",
            "/echo",
            body=(piece for _ in range(500)),
            headers=up.host(name),
            encode_chunked=True,
        )
        answer = connection.getresponse()
        digest = hashlib.sha256()
        while part := answer.read(65536):
            digest.update(part)
    finally:
        connection.close()
    assert answer.status == 200 and digest.hexdigest() == hashlib.sha256(piece * 500).hexdigest()


def test_a23_a35_a59_a60_200_first_requests_at_once_make_one_wake_and_200_right_answers(
    up: Process,
) -> None:
    name = sleeping(up, "herd")
    before = up.metric("rouse_wakes_total", result="ok", kind="cold")
    with concurrent.futures.ThreadPoolExecutor(200) as pool:
        answers = list(pool.map(lambda _: up.get(name), range(200)))
    assert [a.status for a in answers] == [200] * 200
    assert sorted(a.json()["file"] for a in answers) == list(range(2, 202))
    assert up.metric("rouse_wakes_total", result="ok", kind="cold") == before + 1


def test_a12_r4_a_wake_of_six_seconds_is_served_and_delays_no_other_actor(up: Process) -> None:
    slow = counter(command=["sh", "-c", "sleep 6; exec python3 -S -m counter"])
    slow["metadata"]["namespace"] = "slow"
    assert up.apply(slow).status in (200, 201)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(up.get, "s1", ns="slow")
        until("it wakes", lambda: up.metric("rouse_actors", state="waking"))
        assert up.get("quick").status == 200
        assert not waiting.done()
        assert waiting.result().status == 200


def test_a2_a36_r1_an_idle_actor_goes_back_to_nothing_even_if_it_ignores_sigterm(
    up: Process,
) -> None:
    stubborn = counter(
        command=["sh", "-c", "trap '' TERM; python3 -S -m counter & wait"],
        idle={"freezeAfter": "200ms", "suspendAfter": "500ms"},
    )
    stubborn["metadata"]["namespace"] = "stubborn"
    assert up.apply(stubborn).status in (200, 201)
    assert up.get("s1", ns="stubborn").status == 200
    pid = up.actor("s1", "stubborn")["residence"]["pid"]
    until("it is suspended", lambda: up.state("s1", "stubborn") == "SUSPENDED")
    until("its process is gone", lambda: not _exists(pid))
    assert up.metric("rouse_tickets") == 0
    told = up.actor("s1", "stubborn")
    assert told["active"] > told["created"]
    again = up.get("s1", ns="stubborn")
    assert again.json()["file"] == 2


def _exists(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_frozen_actor_thaws_for_a_request_with_its_memory(up: Process) -> None:
    document = counter(idle={"freezeAfter": "100ms", "suspendAfter": "1h"})
    document["metadata"]["namespace"] = "cold"
    assert up.apply(document).status in (200, 201)
    assert up.get("f1", ns="cold").json()["ram"] == 1
    until("it is frozen", lambda: up.state("f1", "cold") == "frozen")
    answer = up.get("f1", ns="cold")
    assert answer.json()["ram"] == 2
    assert answer.headers["rouse-wake"].startswith("thaw; total=")


def test_a81_a61_cold_and_warm_are_told_apart_in_header_metrics_and_log(up: Process) -> None:
    name = sleeping(up, "a81")
    cold = up.get(name)
    warm = up.get(name)
    total = float(re.findall(r"total=([\d.]+)", cold.headers["rouse-wake"])[0])
    assert up.metric("rouse_wake_phase_seconds_count", phase="ready") >= 1
    assert up.metric("rouse_requests_total", status="200", source="actor", relay="edge") >= 2

    def lines() -> list[str]:
        text = (up.data / "access.log").read_text()
        ids = (cold.headers["x-request-id"], warm.headers["x-request-id"])
        return [line for line in text.splitlines() if any(i in line for i in ids)]

    logged = until("both are logged", lambda: len(lines()) == 2 and lines())
    assert '"wake"' in logged[0] and f"{total:.1f}" in logged[0]
    assert '"wake"' not in logged[1]


@pytest.mark.parametrize(
    ("host", "status", "reason"),
    [
        ("nobody.empty.actors.localhost", 404, "no-actor"),
        ("Bad_Name.demo.actors.localhost", 400, "bad-name"),
        ("c1.demo.elsewhere.example", 404, "no-actor"),
        ("-.demo.actors.localhost", 400, "bad-name"),
    ],
)
def test_a72_a78_what_does_not_exist_is_told_in_the_contracts_form(
    up: Process, host: str, status: int, reason: str
) -> None:
    wakes = up.metric("rouse_wakes_total")
    answer = ask(up.edge, headers={"Host": host})
    assert answer.status == status
    error = answer.json()["error"]
    assert set(error) == {"code", "reason", "message", "actor", "request_id"}
    assert error["code"] == status and answer.headers["content-type"] == "application/json"
    assert error["request_id"] == answer.headers["x-request-id"]
    assert up.metric("rouse_wakes_total") == wakes


def test_a7_a74_a82_a_program_that_never_listens_is_503_with_retry_after(up: Process) -> None:
    document = template(
        "mute",
        "mute",
        command=["sleep", "60"],
        ports=[{"name": "http", "port": 8080}],
        readiness={"httpGet": {"path": "/", "port": "http"}, "timeout": "1s"},
        create={"onRequest": True},
    )
    assert up.apply(document).status in (200, 201)
    answer = up.get("m1", ns="mute")
    assert answer.status == 503 and answer.reason == "failed-start"
    assert int(answer.headers["retry-after"]) >= 1
    assert "127.0.0.1" not in answer.body.decode() and "/tmp" not in answer.body.decode()
    until("it may be tried again", lambda: up.actor("m1", "mute")["state"] == "SUSPENDED")


def test_three_quick_failures_back_off_and_say_so(up: Process) -> None:
    document = template(
        "broken",
        "broken",
        command=["sh", "-c", "echo no luck; exit 7"],
        ports=[{"name": "http", "port": 8080}],
        create={"onRequest": True},
    )
    assert up.apply(document).status in (200, 201)
    for _ in range(3):
        answer = up.get("b1", ns="broken")
        assert answer.status == 503 and "status 7" in answer.body.decode()
    answer = up.get("b1", ns="broken")
    assert (answer.status, answer.reason) == (503, "failed-start")
    assert int(answer.headers["retry-after"]) >= 1
    told = up.actor("b1", "broken")
    assert told["state"] == "FAILED" and "status 7" in told["reason"]
    logs = up.cli("actor", "logs", "b1", "-n", "broken")
    assert logs.stdout.count("no luck") == 3


def test_the_three_ways_to_name_an_actor(up: Process) -> None:
    by_host = up.get("named")
    by_path = ask(up.edge, path="/actors/demo/named/", headers={"Host": f"127.0.0.1:{up.edge}"})
    assert by_host.status == by_path.status == 200
    assert by_path.json()["file"] == by_host.json()["file"] + 1


def test_a54_files_are_there_after_many_cycles(up: Process) -> None:
    for turn in range(1, 16):
        assert up.get("cycles").json()["file"] == turn
        assert up.cli("actor", "suspend", "cycles", "-n", "demo").returncode == 0


def test_an_actor_that_exits_by_itself_is_suspended_and_its_exit_is_told(up: Process) -> None:
    assert up.get("exits").json()["file"] == 1
    assert up.send("POST", "exits", "/exit?code=5").status in (200, 202, 204)
    told = until(
        "its exit is told",
        lambda: (t := up.actor("exits"))["state"] == "SUSPENDED" and t["reason"] and t,
    )
    assert "status 5" in told["reason"]
    assert up.get("exits").json()["file"] == 2


def test_delete_of_a_running_actor_leaves_nothing(up: Process) -> None:
    assert up.get("gone").status == 200
    uid = up.actor("gone")["uid"]
    assert up.cli("actor", "delete", "gone", "-n", "demo").returncode == 0
    assert up.actor("gone") is None
    assert not [path for path in up.data.rglob(f"*{uid}*") if "logs" not in path.parts]
    assert up.get("gone").json()["file"] == 1
