"""A worker's directory: who holds it, and what is found again after a kill."""

from pathlib import Path

import pytest

from lifecycle.host.places import DirectoryInUse, Note, Places
from placement.model import ActorId, InvalidName
from runtimes.base import Endpoint, Handle, RuntimeClass

ACTOR = ActorId("demo", "c1")
UID = "0123456789abcdef"


def note(directory: Path) -> Note:
    handle = Handle(
        runtime=RuntimeClass.PROCESS,
        actor="demo/c1",
        uid=UID,
        epoch=3,
        pid=4242,
        started=99,
        endpoints={"http": Endpoint(host="127.0.0.1", port=20001, declared=8080)},
        directory=directory,
    )
    return Note(
        actor=ACTOR, uid=UID, epoch=3, template="counter", durable=("/data",), handle=handle
    )


def test_a_directory_has_one_worker(tmp_path: Path) -> None:
    first, second = Places(tmp_path), Places(tmp_path)
    first.lock()
    with pytest.raises(DirectoryInUse):
        second.lock()
    first.unlock()
    second.lock()
    second.unlock()


def test_the_worker_keeps_its_id_and_its_last_incarnation(tmp_path: Path) -> None:
    places = Places(tmp_path)
    made = places.worker_id(None)
    assert Places(tmp_path).worker_id(None) == made
    assert Places(tmp_path).worker_id("east-1") == "east-1"
    assert places.last_incarnation() is None
    places.remember_incarnation("abc")
    assert Places(tmp_path).last_incarnation() == "abc"
    with pytest.raises(InvalidName):
        places.worker_id("../x")


def test_a_copy_is_found_again_with_its_handle(tmp_path: Path) -> None:
    places = Places(tmp_path)
    copy = places.copy(UID, 3)
    copy.make(note(copy.sandbox))
    [(found, said)] = Places(tmp_path).copies()
    assert found.path == copy.path and said == note(copy.sandbox)


def test_a_worker_killed_while_it_wrote_a_note_is_found_by_the_one_before(tmp_path: Path) -> None:
    places = Places(tmp_path)
    copy = places.copy(UID, 3)
    copy.make(Note(actor=ACTOR, uid=UID, epoch=3))
    first = (copy.path / "note.json").read_bytes()
    copy.write(note(copy.sandbox))
    whole = (copy.path / "note.json").read_bytes()
    assert copy.note() == note(copy.sandbox)
    for end in range(len(first), len(whole) - 1):
        (copy.path / "note.json").write_bytes(whole[:end])
        assert copy.note() == Note(actor=ACTOR, uid=UID, epoch=3)
        # The worker that found it goes on writing behind what was cut short.
        copy.write(note(copy.sandbox))
        assert copy.note() == note(copy.sandbox)


def test_a_copy_made_anew_has_nothing_of_the_former(tmp_path: Path) -> None:
    copy = Places(tmp_path).copy(UID, 3)
    copy.make(note(copy.sandbox))
    (copy.sandbox / "left").touch()
    copy.make(Note(actor=ACTOR, uid=UID, epoch=3))
    assert copy.note() == Note(actor=ACTOR, uid=UID, epoch=3)
    assert list(copy.sandbox.iterdir()) == []


def test_a_copy_without_a_readable_note_is_removed(tmp_path: Path) -> None:
    places = Places(tmp_path)
    copy = places.copy(UID, 3)
    copy.make(note(copy.sandbox))
    (copy.path / "note.json").write_text("{")
    assert places.copies() == [] and not copy.path.exists()


@pytest.mark.parametrize("part", ["..", "a/b", "", ".hidden", "x" * 300])
def test_names_from_elsewhere_cannot_leave_the_directory(tmp_path: Path, part: str) -> None:
    with pytest.raises(ValueError, match="file name"):
        Places(tmp_path).log(part)
