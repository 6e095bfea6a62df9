"""The product over a real S3 server: actors wake from it, and nothing is lost while it is away."""

import shutil
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from tests.objectstore import BUCKET, S3Server
from tests.system.product import Process, counter, role, started, until

if TYPE_CHECKING:
    import subprocess

pytestmark = pytest.mark.system


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    up: Process
    store: "subprocess.Popen[bytes]"

    def suspend(self, name: str) -> "subprocess.CompletedProcess[str]":
        return self.up.cli("actor", "suspend", name, "-n", "demo", "--wait", "10s")

    def forget_local(self) -> None:
        """What this worker keeps of suspended actors: the next wake must fetch."""
        for path in (self.up.data / "worker" / "kept").glob("*/*"):
            shutil.rmtree(path)
        shutil.rmtree(self.up.data / "cache", ignore_errors=True)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, s3_server: S3Server) -> Iterator[Site]:
    url = f"s3://{BUCKET}/up?endpoint={s3_server.endpoint}&region=us-east-1"
    with started(role("up", tmp_path_factory.mktemp("up"), "--snapshots", url)) as up:
        assert up.apply(counter()).status in (200, 201)
        yield Site(up=up, store=s3_server.process)


def test_a54_an_actor_wakes_from_s3_with_its_files(site: Site) -> None:
    for turn in range(1, 4):
        assert site.up.get("far").json()["file"] == turn
        assert site.suspend("far").returncode == 0
        site.forget_local()
    assert site.up.metric("rouse_snapshot_bytes_total", direction="read") > 0


def test_r5_r6_a_store_that_is_away_loses_nothing(site: Site) -> None:
    assert site.up.get("away").json()["file"] == 1
    assert site.suspend("away").returncode == 0
    assert site.up.get("away").json()["file"] == 2
    before = site.up.actor("away")["snapshot"]
    site.store.send_signal(signal.SIGSTOP)
    try:
        done = site.suspend("away")
        assert done.returncode == 1 and "store" in done.stderr
        assert site.up.get("away").json()["file"] == 3
        assert site.up.actor("away")["snapshot"] == before
    finally:
        site.store.send_signal(signal.SIGCONT)
    until("it can be suspended again", lambda: site.suspend("away").returncode == 0)
    site.forget_local()
    assert site.up.get("away").json()["file"] == 4
