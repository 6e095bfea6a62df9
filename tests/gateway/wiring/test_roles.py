"""The roles as whole processes would run them, in this one: up, said, stopped by a signal, and what
a person reads when they cannot start. What actors do meanwhile is tests/system's.
"""

import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway import places
from gateway.settings import Settings
from gateway.wiring import run_gateway, run_up, run_worker
from lifecycle.host.places import Places
from placement.server import PrivateServer
from tests.gateway.wiring.starting import settings_of
from tests.system.product import ask, free_port

LONGEST_S = 30.0


@pytest.fixture(autouse=True)
def own_logging() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    root.handlers[:] = []
    yield
    for handler in root.handlers:
        handler.close()
    root.handlers[:], root.level = handlers, level


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where commands of the same user look for a running one."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.delenv("ROUSE_DATA_DIR", raising=False)
    return tmp_path / "state" / "rouse"


def run_until_ready(
    role: Callable[[Settings], int], settings: Settings, look: Callable[[], None]
) -> int:
    """Run a role here; once its admin API says ready, `look`, then SIGTERM."""
    admin = int(settings.admin.listen.rpartition(":")[2])
    seen: list[Exception] = []

    def watch() -> None:
        deadline = time.monotonic() + LONGEST_S
        try:
            while not _is_ready(admin):
                assert time.monotonic() < deadline, "not ready in time"
                time.sleep(0.02)
            look()
        except (AssertionError, OSError, LookupError, ValueError) as error:
            seen.append(error)
        finally:
            os.kill(os.getpid(), signal.SIGTERM)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        return role(settings)
    finally:
        watcher.join()
        assert not seen, seen


def _is_ready(admin: int) -> bool:
    try:
        return ask(admin, path="/readyz", timeout=5).status == 200
    except OSError:
        return False


def test_up_says_where_it_is_and_stops_cleanly(
    tmp_path: Path, state: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    admin, edge = free_port(), free_port()
    settings = settings_of(
        "up",
        tmp_path / "data",
        None,
        admin__listen=f"127.0.0.1:{admin}",
        edge__listen=f"127.0.0.1:{edge}",
    )

    def look() -> None:
        for directory in (settings.data_dir, state):
            assert places.admin_url_file(directory).read_text() == f"http://127.0.0.1:{admin}"
        assert ask(edge, headers={"Host": "no.demo.actors.localhost"}).status == 404
        (worker,) = ask(admin, path="/v1/workers").json()["items"]
        assert worker["draining"] is False

    assert run_until_ready(run_up, settings, look) == 0
    out = capfd.readouterr().out
    assert f"http://<actor>.<namespace>.actors.localhost:{edge}/" in out
    assert f"http://127.0.0.1:{admin}" in out and str(settings.data_dir) in out
    for directory in (settings.data_dir, state):
        assert not places.admin_url_file(directory).exists()


@pytest.mark.usefixtures("redis")
def test_worker_and_gateway_say_that_they_are_up(
    redis_server: PrivateServer, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for role, name in ((run_worker, "worker"), (run_gateway, "gateway")):
        admin = free_port()
        settings = settings_of(
            "worker" if name == "worker" else "gateway",
            tmp_path / name,
            redis_server.url,
            admin__listen=f"127.0.0.1:{admin}",
        )
        assert run_until_ready(role, settings, lambda: None) == 0
        out = capfd.readouterr().out
        assert out.startswith(f"{name}") and "up" in out and f"http://127.0.0.1:{admin}" in out


@pytest.mark.usefixtures("state")
def test_a_default_port_that_is_taken_is_exchanged_and_said(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    admin = free_port()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        settings = settings_of(
            "up",
            tmp_path / "data",
            None,
            admin__listen=f"127.0.0.1:{admin}",
            edge__listen=f"127.0.0.1:{port}",
        )
        chosen = settings.chosen - {"edge.listen"}  # as if it were the default
        settings = Settings(
            **{
                **{name: getattr(settings, name) for name in settings.__struct_fields__},
                "chosen": chosen,
            }
        )
        assert run_until_ready(run_up, settings, lambda: None) == 0
    assert f"(127.0.0.1:{port} is taken)" in capfd.readouterr().out


@pytest.mark.parametrize("which", ["admin.listen", "edge.listen"])
@pytest.mark.usefixtures("redis")
def test_a_chosen_port_that_is_taken_is_one_line_and_exit_1(
    which: str, redis_server: PrivateServer, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        at = f"127.0.0.1:{taken.getsockname()[1]}"
        chosen: dict[str, Any] = {which.replace(".", "__"): at}
        settings = settings_of("gateway", tmp_path, redis_server.url, **chosen)
        assert run_gateway(settings) == 1
    told = capfd.readouterr().err
    lines = [line for line in told.splitlines() if line.startswith("rouse gateway: ")]
    assert len(lines) == 1 and "in use" in lines[0] and "Traceback" not in told


@pytest.mark.usefixtures("redis")
def test_a_directory_in_use_is_one_line_and_exit_1(
    redis_server: PrivateServer, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    settings = settings_of("worker", tmp_path, redis_server.url)
    other = Places(tmp_path / "worker")
    other.lock()
    try:
        assert run_worker(settings) == 1
    finally:
        other.unlock()
    told = capfd.readouterr().err
    assert told.startswith("rouse worker: ") and str(tmp_path) in told
    assert "Traceback" not in told


def test_a_data_directory_that_cannot_be_made_is_one_line_and_exit_1(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    settings = settings_of("worker", tmp_path / "file" / "data", "redis://127.0.0.1:1")
    assert run_worker(settings) == 1
    told = capfd.readouterr().err
    assert told.startswith("rouse worker: ") and "Traceback" not in told
