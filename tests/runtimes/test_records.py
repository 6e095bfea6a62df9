"""What a driver writes down, and finds again."""

from pathlib import Path

import msgspec
import pytest

from runtimes.records import Record, Records


def record(slug: str = "rouse-0123-1") -> Record:
    return Record(
        slug=slug,
        directory=Path("/copies/0123"),
        log=Path("/logs/0123"),
        log_limit=1000,
        roots=[(12, 345)],
        ports=[20_001],
    )


def test_a_record_is_found_again_whole(tmp_path: Path) -> None:
    Records(tmp_path).write(record())
    assert Records(tmp_path).read("rouse-0123-1") == record()


def test_the_last_whole_line_counts(tmp_path: Path) -> None:
    records = Records(tmp_path)
    records.write(record())
    later = record()
    later.roots.append((13, 346))
    records.write(later)
    assert records.read("rouse-0123-1") == later
    with (tmp_path / "rouse-0123-1.json").open("ab") as file:
        file.write(b'{"slug": "rouse-01')
    assert records.read("rouse-0123-1") == later
    (tmp_path / "rouse-0123-1.json").write_bytes(b'{"slug"')
    assert records.read("rouse-0123-1") is None


def test_slugs_are_listed_without_strangers(tmp_path: Path) -> None:
    records = Records(tmp_path)
    records.write(record("rouse-b-1"))
    records.write(record("rouse-a-1"))
    (tmp_path / "other.json").write_text("{}")
    assert list(records) == ["rouse-a-1", "rouse-b-1"]


def test_what_is_not_there_is_none_and_removed_without_complaint(tmp_path: Path) -> None:
    records = Records(tmp_path / "never-made")
    assert records.read("rouse-a-1") is None and list(records) == []
    records.remove("rouse-a-1")


def test_a_damaged_record_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "rouse-a-1.json").write_text('{"slug": 1}\n')
    with pytest.raises(msgspec.ValidationError):
        Records(tmp_path).read("rouse-a-1")
