"""Log lines: one event, one line, its fields beside it; and a file that stays bounded."""

import ast
import json
import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.settings import Log
from gateway.wiring.logging import BoundedFile, JsonLines, TextLines, set_up

ROOT = Path(__file__).resolve().parents[3]
ROOMS = ("gateway", "lifecycle", "placement", "runtimes")


def record(**fields: object) -> logging.LogRecord:
    made = logging.LogRecord("gateway.x", logging.INFO, __file__, 1, "actor woken", (), None)
    vars(made).update(fields)
    return made


def said(**fields: object) -> dict[str, object]:
    line = JsonLines().format(record(**fields))
    assert "\n" not in line
    read: dict[str, object] = json.loads(line)
    return read


@pytest.fixture
def own_handlers() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    root.handlers[:] = []
    yield
    for handler in root.handlers:
        handler.close()
    root.handlers[:], root.level = handlers, level


def test_an_event_is_its_sentence_and_its_fields() -> None:
    line = said(actor="demo/c1", epoch=3, took_ms=1.5)
    assert line["event"] == "actor woken" and line["level"] == "info"
    assert (line["actor"], line["epoch"], line["took_ms"]) == ("demo/c1", 3, 1.5)
    text = TextLines().format(record(actor="demo/c1", epoch=3))
    assert text.endswith("info    actor woken  actor=demo/c1 epoch=3")
    assert TextLines().format(record()).endswith("info    actor woken")


def test_a_field_never_takes_the_place_of_what_every_line_has() -> None:
    line = said(level="gold", event="party", time="noon", logger="me")
    assert (line["level"], line["event"], line["logger"]) == ("info", "actor woken", "gateway.x")
    assert (line["field_level"], line["field_event"], line["field_time"]) == (
        "gold",
        "party",
        "noon",
    )


def test_what_is_no_json_is_told_as_text() -> None:
    line = said(path=Path("/x"), error=ValueError("why"), actors={1})
    assert (line["path"], line["error"], line["actors"]) == ("/x", "why", "{1}")


def test_foreign_text_is_cut_and_writes_no_line_of_its_own() -> None:
    assert said(change="x" * 9000)["change"] == "x" * 500
    forged = "ok\n23:59:59 error   disk is gone\x1b[2J\u2028"
    text = TextLines().format(record(change=forged, error=ValueError("y\n" * 900)))
    assert len(text.splitlines()) == 1 and "\x1b" not in text and len(text) < 2500
    assert r"ok\n23:59:59" in text


def test_a_mistake_brings_its_trace() -> None:
    try:
        raise KeyError("missing")
    except KeyError as error:
        made = record()
        made.exc_info = (KeyError, error, error.__traceback__)
    assert "KeyError: 'missing'" in TextLines().format(made)
    made.exc_text = None
    assert "KeyError: 'missing'" in json.loads(JsonLines().format(made))["trace"]


def test_no_log_call_of_ours_uses_a_field_that_logging_refuses() -> None:
    """`extra={"name": ..}` raises, and only when that line is reached."""
    taken = {*vars(record()), "message", "asctime"}
    seen = 0
    for path in (file for room in ROOMS for file in (ROOT / room).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.keyword) or node.arg != "extra":
                continue
            if isinstance(node.value, ast.Dict):
                for key in filter(None, node.value.keys):  # None: `**others`
                    assert isinstance(key, ast.Constant), f"{path}:{node.value.lineno}"
                    assert key.value not in taken, f"{path}:{key.lineno} logs {key.value}"
                    seen += 1
    assert seen > 50


@pytest.mark.usefixtures("own_handlers")
def test_a_file_that_is_no_terminal_gets_json_at_the_level_asked_for(tmp_path: Path) -> None:
    file = tmp_path / "rouse.log"
    set_up(Log(level="warning"), file)
    log = logging.getLogger("lifecycle.test")
    log.info("not told")
    log.warning("lease lost", extra={"worker": "w1"})
    logging.getLogger("botocore.auth").debug("chatter")
    (line,) = file.read_text().splitlines()
    assert json.loads(line)["event"] == "lease lost" and json.loads(line)["worker"] == "w1"


@pytest.mark.usefixtures("own_handlers")
def test_text_may_be_chosen_for_a_file_too(tmp_path: Path) -> None:
    file = tmp_path / "rouse.log"
    set_up(Log(format="text"), file)
    logging.getLogger("lifecycle.test").info("worker registered", extra={"worker": "w1"})
    assert file.read_text().endswith("info    worker registered  worker=w1\n")


def test_the_access_log_stays_bounded(tmp_path: Path) -> None:
    file = BoundedFile(tmp_path / "access.log", limit=1000)
    for number in range(100):
        file.write(b"%05d %s\n" % (number, b"x" * 93))
    file.close()
    sizes = {path.name: path.stat().st_size for path in tmp_path.iterdir()}
    assert sizes.keys() == {"access.log", "access.log.1"}
    assert all(size <= 1100 for size in sizes.values())
    lines = (tmp_path / "access.log.1").read_bytes() + (tmp_path / "access.log").read_bytes()
    numbers = [int(line[:5]) for line in lines.splitlines()]
    assert numbers == list(range(numbers[0], 100))  # the newest, none lost in between


def test_what_an_earlier_start_wrote_is_kept(tmp_path: Path) -> None:
    for word in (b"one\n", b"two\n"):
        file = BoundedFile(tmp_path / "access.log")
        file.write(word)
        file.close()
    assert (tmp_path / "access.log").read_bytes() == b"one\ntwo\n"


def test_a_disk_that_takes_nothing_stops_no_request_and_is_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    if not os.path.exists("/dev/full"):
        pytest.skip("no /dev/full here")
    full = tmp_path / "access.log"
    full.symlink_to("/dev/full")
    file = BoundedFile(full)
    for _ in range(3):
        file.write(b"x\n")
    file.close()
    assert [r.message for r in caplog.records] == ["access log is not written"]
    assert vars(caplog.records[0])["why"] == "No space left on device"


def test_where_no_new_file_can_be_made_the_old_one_is_written_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The directory went away under it: a write after that must not raise either."""
    directory = tmp_path / "logs"
    directory.mkdir()
    file = BoundedFile(directory / "access.log", limit=10)
    (directory / "access.log").rename(tmp_path / "moved")
    directory.rmdir()
    for _ in range(3):
        file.write(b"x" * 20 + b"\n")
    file.close()
    assert (tmp_path / "moved").stat().st_size == 63
    assert [r.message for r in caplog.records] == ["access log is not written"]
