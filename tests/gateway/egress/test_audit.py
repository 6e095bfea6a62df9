"""Audit lines: written in one go, bounded, without what may be secret."""

from pathlib import Path

import msgspec
import pytest

from gateway.egress import audit
from gateway.egress.audit import Audit, Line, now_text


def _line(number: int = 0) -> Line:
    return Line(at=now_text(), actor="demo/c1", decision="allow", way="", method="GET",
                to="h:1", path=f"/{number}")  # fmt: skip


def test_lines_are_written_as_json(tmp_path: Path) -> None:
    made = Audit(tmp_path / "log")
    made.note(_line(1))
    made.note(_line(2))
    made.flush()
    lines = (tmp_path / "log").read_bytes().splitlines()
    assert [msgspec.json.decode(each, type=Line).path for each in lines] == ["/1", "/2"]


def test_the_file_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "LARGEST_BYTES", 1000)
    made = Audit(tmp_path / "log")
    for number in range(100):
        made.note(_line(number))
        made.flush()
    assert sum(each.stat().st_size for each in tmp_path.iterdir()) <= 2000


def test_what_can_not_be_written_waits(tmp_path: Path) -> None:
    made = Audit(tmp_path / "gone" / "log")
    made.note(_line())
    with pytest.raises(OSError, match="No such"):
        made.flush()
    (tmp_path / "gone").mkdir()
    made.flush()
    assert (tmp_path / "gone" / "log").exists()
