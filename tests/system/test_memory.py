"""Actors in gVisor through the started product, with a real S3 server: what they had in memory is
there after a sleep, after a kill of the worker, and while the store is away."""

import os
import shutil
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from runtimes import runsc
from tests.objectstore import BUCKET, S3Server
from tests.system.product import Process, role, sandboxes, started, until

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root: a network for each actor"),
]

PROGRAM = Path(__file__).parents[1] / "contract" / "waking.py"


def counting(name: str, **spec: Any) -> dict[str, Any]:
    """Counts its requests in memory."""
    return {
        "apiVersion": "rouse.dev/v1alpha1",
        "kind": "ActorTemplate",
        "metadata": {"namespace": name, "name": "counting"},
        "spec": {
            "command": ["python3", PROGRAM.name],
            "workingDir": str(PROGRAM.parent),
            "durable": ["/data"],
            "readiness": {"tcpSocket": {}},
            "snapshot": {"scope": "full"},
            "idle": {"freezeAfter": "never", "suspendAfter": "never"},
            "create": {"onRequest": True},
            **spec,
        },
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    up: Process
    store: S3Server

    def counted(self, ns: str, actor: str = "a") -> int:
        answer = self.up.send("GET", actor, ns=ns)
        assert answer.status == 200, answer
        return int(answer.json()["counted"])

    def suspend(self, ns: str, actor: str = "a") -> None:
        done = self.up.cli("actor", "suspend", actor, "-n", ns, "--wait", "10s")
        assert done.returncode == 0, done.stderr

    def forget_local(self) -> None:
        for path in (self.up.data / "worker" / "kept").glob("*/*"):
            shutil.rmtree(path)
        shutil.rmtree(self.up.data / "cache", ignore_errors=True)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, s3_server: S3Server) -> Iterator[Site]:
    if runsc.find() is None:
        if os.environ.get("CI") == "true":
            pytest.fail(f"CI must have it: {runsc.HOW_TO_GET_IT}")
        pytest.skip(runsc.HOW_TO_GET_IT)
    url = f"s3://{BUCKET}/memory?endpoint={s3_server.endpoint}&region=us-east-1"
    with started(role("up", tmp_path_factory.mktemp("up"), "--snapshots", url)) as up:
        yield Site(up=up, store=s3_server)
    assert sandboxes(up) == set()


def test_s9_memory_goes_on_from_this_worker_and_from_the_store(site: Site) -> None:
    assert site.up.apply(counting("ram")).status == 200
    assert [site.counted("ram"), site.counted("ram")] == [1, 2]
    site.suspend("ram")
    assert site.counted("ram") == 3
    site.suspend("ram")
    site.forget_local()
    answer = site.up.send("GET", "a", ns="ram")
    assert answer.json()["counted"] == 4 and answer.json()["woken"] >= 2
    assert "cold" in answer.headers["rouse-wake"]


def test_a_request_under_a_suspend_goes_on_in_the_same_memory(site: Site) -> None:
    idle = {"freezeAfter": "never", "suspendAfter": "1s"}
    assert site.up.apply(counting("busy", idle=idle)).status == 200
    assert site.counted("busy") == 1
    site.store.process.send_signal(signal.SIGSTOP)
    try:
        until("its suspend waits for the store", lambda: site.up.state("a", "busy") == "SUSPENDING")
        assert site.counted("busy") == 2
    finally:
        site.store.process.send_signal(signal.SIGCONT)
    until("it sleeps", lambda: site.up.state("a", "busy") == "SUSPENDED")
    assert site.counted("busy") == 3


def test_p6_memory_of_another_template_is_refused_by_name_or_left_out_as_told(site: Site) -> None:
    assert site.up.apply(counting("old")).status == 200
    assert site.counted("old") == 1
    site.suspend("old")
    changed = counting("old", env=[{"name": "NEW", "value": "1"}])
    assert site.up.apply(changed).status == 200

    def is_refused() -> bool:
        if site.up.send("GET", "a", ns="old").status == 503:
            return True
        site.suspend("old")  # the worker knew the old template for a moment longer
        return False

    until("it is refused", is_refused)
    # A 503 may be of a machine too busy to wake it in time, which is no refusal.
    until("why is told", lambda: "its template is" in (site.up.actor("a", "old")["reason"] or ""))
    assert site.up.actor("a", "old")["snapshot"]
    changed["spec"]["snapshot"] = {"scope": "full", "fallback": "data"}
    assert site.up.apply(changed).status == 200

    def counted() -> int:
        answer = site.up.send("GET", "a", ns="old")
        return int(answer.json()["counted"]) if answer.status == 200 else 0

    assert until("it starts anew from its files", counted) == 1


def test_p3_a_killed_worker_finds_its_sandboxes_again_with_their_memory(site: Site) -> None:
    assert site.up.apply(counting("kill")).status == 200
    assert site.counted("kill") == 1
    site.up.kill()
    site.up.start().ready()

    def counted() -> int:
        answer = site.up.send("GET", "a", ns="kill")
        return int(answer.json()["counted"]) if answer.status == 200 else 0

    assert until("it answers again", counted) == 2
    site.suspend("kill")
    assert site.counted("kill") == 3


def test_s55_a_fork_goes_on_in_the_sources_memory_as_another_actor(site: Site) -> None:
    assert site.up.apply(counting("fork")).status == 200
    assert [site.counted("fork"), site.counted("fork")] == [1, 2]
    with ThreadPoolExecutor() as pool:
        slow = pool.submit(site.up.send, "GET", "a", "/slow", ns="fork")
        until("it is open", lambda: site.up.actor("a", "fork")["residence"]["tickets"] == 1)
        done = site.up.cli("actor", "fork", "a", "b", "-n", "fork", "-o", "json")
        assert done.returncode == 0, done.stderr
        # P4: it stood open while its memory was written, and is answered whole.
        assert slow.result().body == b"halfrest"
    fork, source = (site.up.send("GET", name, ns="fork").json() for name in ("b", "a"))
    assert (fork["counted"], source["counted"]) == (4, 4)  # the open one was counted in both
    assert (fork["actor"], source["actor"]) == ("fork/b", "fork/a")
    assert (fork["woken"], source["woken"]) == (2, 1)
    for name in ("drawn", "uuid", "tls"):
        assert fork[name] != source[name], name
    twin = site.up.cli("actor", "fork", "b", "c", "-n", "fork")
    assert twin.returncode == 0, twin.stderr
    pair = [site.up.send("GET", name, ns="fork").json() for name in ("b", "c")]
    assert [each["counted"] for each in pair] == [5, 5]
    assert pair[0]["drawn"] != pair[1]["drawn"]
    # What they share outlives its source.
    for name in ("a", "b"):
        assert site.up.cli("actor", "delete", name, "-n", "fork").returncode == 0
    site.suspend("fork", "c")
    site.forget_local()
    assert site.counted("fork", "c") == 6


def test_s9_s55_new_actors_go_on_from_the_golden_and_know_who_they_are(site: Site) -> None:
    golden = counting("gold", snapshot={"scope": "full", "golden": True})
    # Sealed in chunks: enough of it that an actor's own snapshot shows what it shares.
    golden["spec"]["env"] = [{"name": "HELD_MIB", "value": "4"}]
    assert site.up.apply(golden).status == 200
    first = site.up.send("GET", "first", ns="gold").json()
    assert (first["counted"], first["woken"], first["named"]) == (1, 1, "gold/first")
    # A new worker has no golden, and asks for one with the first actor that could have used it.
    until("one is built", lambda: "golden built" in site.up.output())
    pair = [site.up.send("GET", name, ns="gold").json() for name in ("a", "b")]
    assert [each["counted"] for each in pair] == [1, 1]
    assert [each["woken"] for each in pair] == [2, 2]  # they did not start: they were woken
    assert [each["actor"] for each in pair] == ["gold/a", "gold/b"]
    assert [each["named"] for each in pair] == ["", ""]  # in memory it is nobody's
    assert pair[0]["drawn"] != pair[1]["drawn"] and pair[0]["tls"] != pair[1]["tls"]
    before = site.up.metric("rouse_snapshot_bytes_total", direction="written")
    site.suspend("gold", "a")
    wrote = site.up.metric("rouse_snapshot_bytes_total", direction="written") - before
    assert wrote < 3 << 20, wrote
    assert site.up.cli("template", "delete", "counting", "-n", "gold", "--force").returncode == 0
    assert site.up.apply(golden).status == 200
    site.forget_local()
    assert site.counted("gold", "a") == 2


def test_a_checkpoint_keeps_memory_for_when_the_sandbox_is_lost(site: Site) -> None:
    every = counting("every", snapshot={"scope": "full", "every": "1s"})
    assert site.up.apply(every).status == 200
    assert [site.counted("every"), site.counted("every")] == [1, 2]
    until("it is saved", lambda: site.up.actor("a", "every")["snapshot"])
    before = site.up.actor("a", "every")["snapshot"]
    until("it is saved again", lambda: site.up.actor("a", "every")["snapshot"] != before)
    # All of its machine is lost at once: sandbox, files and worker.
    site.up.kill()
    for copy in (site.up.data / "worker" / "copies").iterdir():
        shutil.rmtree(copy)
    site.forget_local()
    site.up.start().ready()

    def counted() -> int:
        answer = site.up.send("GET", "a", ns="every")
        return int(answer.json()["counted"]) if answer.status == 200 else 0

    assert until("it answers again", counted) == 3
