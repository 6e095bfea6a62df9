"""What a worker keeps of suspended actors: only the very snapshot, only so many bytes."""

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from lifecycle.host.kept import Kept

DATA = frozenset({"%2Fdata"})


def files(tmp_path: Path, text: str, name: str = "%2Fdata") -> Path:
    made = tmp_path / "durable"
    (made / name).mkdir(parents=True)
    (made / name / "n").write_text(text)
    return made


def test_r13_only_the_files_of_the_very_snapshot_are_taken(tmp_path: Path) -> None:
    kept = Kept(tmp_path / "kept", 100)
    kept.put("u1", "3-aa", files(tmp_path, "old"), 10)
    kept.put("u1", "4-bb", files(tmp_path, "new"), 10)
    into = tmp_path / "into"
    assert not kept.take("u1", "3-aa", DATA, into)
    assert kept.take("u1", "4-bb", DATA, into)
    assert (into / "%2Fdata" / "n").read_text() == "new"
    assert not kept.take("u1", "4-bb", DATA, tmp_path / "again")


def test_the_oldest_goes_when_there_are_too_many_bytes(tmp_path: Path) -> None:
    kept = Kept(tmp_path / "kept", 25)
    for uid in ("u1", "u2", "u3"):
        kept.put(uid, "1-aa", files(tmp_path, uid), 10)
    assert [kept.take(uid, "1-aa", DATA, tmp_path / uid) for uid in ("u1", "u2", "u3")] == [
        False,
        True,
        True,
    ]


def test_what_is_larger_than_the_cache_is_left_to_its_owner(tmp_path: Path) -> None:
    kept = Kept(tmp_path / "kept", 5)
    made = files(tmp_path, "x")
    kept.put("u1", "1-aa", made, 10)
    assert made.exists() and not kept.take("u1", "1-aa", DATA, tmp_path / "into")


def test_it_is_found_again_after_a_restart(tmp_path: Path) -> None:
    Kept(tmp_path / "kept", 100).put("u1", "1-aa", files(tmp_path, "x"), 1)
    assert Kept(tmp_path / "kept", 10_000).take("u1", "1-aa", DATA, tmp_path / "into")


def test_a_directory_that_the_template_no_longer_has_is_not_dropped_silently(
    tmp_path: Path,
) -> None:
    kept = Kept(tmp_path / "kept", 100)
    kept.put("u1", "1-aa", files(tmp_path, "x", "%2Fold"), 1)
    assert not kept.take("u1", "1-aa", DATA, tmp_path / "into")


@pytest.mark.parametrize("snapshot", ["../x", "a/b", "x" * 300])
def test_names_from_elsewhere_cannot_leave_the_directory(tmp_path: Path, snapshot: str) -> None:
    with pytest.raises(ValueError, match="file name"):
        Kept(tmp_path / "kept", 100).put("u1", snapshot, files(tmp_path, "x"), 1)


def test_p6_what_was_half_removed_is_not_found_by_the_next_start(tmp_path: Path) -> None:
    kept = Kept(tmp_path / "kept", 100)
    kept.put("u1", "1-aa", files(tmp_path, "x"), 10)
    # As a removal leaves it that was killed: the name of an entry is the first thing that goes.
    (entry,) = (tmp_path / "kept").glob("*/u1~1-aa")
    entry.rename(entry.parent / ".gone-1")
    again = Kept(tmp_path / "kept", 100)
    assert not again.take("u1", "1-aa", DATA, tmp_path / "into")
    assert list(entry.parent.iterdir()) == []


def test_p2_nothing_of_an_earlier_boot_is_taken_for_a_snapshot(tmp_path: Path) -> None:
    Kept(tmp_path / "kept", 100).put("u1", "1-aa", files(tmp_path, "x"), 10)
    (boot,) = (tmp_path / "kept").iterdir()
    boot.rename(tmp_path / "kept" / "before-the-power-cut")
    assert not Kept(tmp_path / "kept", 100).take("u1", "1-aa", DATA, tmp_path / "into")
    assert list((tmp_path / "kept").iterdir()) == [boot]


def test_an_entry_that_somebody_removed_is_not_there(tmp_path: Path) -> None:
    kept = Kept(tmp_path / "kept", 100)
    kept.put("u1", "1-aa", files(tmp_path, "x"), 10)
    (entry,) = (tmp_path / "kept").glob("*/u1~1-aa")
    shutil.rmtree(entry)
    assert not kept.take("u1", "1-aa", DATA, tmp_path / "into")
    kept.put("u1", "2-bb", files(tmp_path, "y"), 10)
    assert kept.take("u1", "2-bb", DATA, tmp_path / "into")


def test_p6_taken_while_others_push_it_out_it_is_whole_or_not_there(tmp_path: Path) -> None:
    """Wakes and suspends use it from threads at once."""
    kept = Kept(tmp_path / "kept", 50)

    def turn(actor: int) -> None:
        for n in range(20):
            made = tmp_path / f"made-{actor}-{n}"
            for name in range(10):
                (made / "%2Fdata" / f"d{name}").mkdir(parents=True)
            kept.put(f"u{actor}", f"{n}-aa", made, 10)
            into = tmp_path / f"into-{actor}-{n}"
            if kept.take(f"u{actor}", f"{n}-aa", DATA, into):
                assert len(list((into / "%2Fdata").iterdir())) == 10

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(turn, range(8))) == [None] * 8
    assert list((tmp_path / "kept").glob("*/*")) == []
