"""A web application over SQLite in WAL mode, suspended while it is written to."""

import threading

import pytest

from tests.programs.stage import Example, apply
from tests.system.product import Process

pytestmark = pytest.mark.system

SUSPENDS = {"bubblewrap": 20, "gvisor": 6}
WRITERS = 3


class Writers:
    """Each writes one note after the other, and keeps what was acknowledged."""

    def __init__(self, notes: Example, actor: str) -> None:
        self._notes, self._actor = notes, actor
        self._stop = threading.Event()
        self.acked: set[tuple[int, str]] = set()
        self.failed: list[str] = []
        self._threads = [
            threading.Thread(target=self._write, args=(number,)) for number in range(WRITERS)
        ]

    def __enter__(self) -> "Writers":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _write(self, number: int) -> None:
        turn = 0
        while not self._stop.is_set():
            text = f"{number}-{turn}"
            answer = self._notes.send("POST", self._actor, "/notes", body=text.encode())
            if answer.status == 201:
                self.acked.add((answer.json()["id"], text))
            else:
                self.failed.append(f"{text}: {answer.status} {answer.body[:200]!r}")
            turn += 1


@pytest.mark.timeout(300)
def test_a54_sqlite_keeps_every_acknowledged_note_over_suspends_under_writes(
    up: Process, runtime: str
) -> None:
    notes = apply(up, "notes", f"notes-{runtime}", runtime)
    assert notes.get("a", "/journal") == "wal"
    with Writers(notes, "a") as writers:
        for _ in range(SUSPENDS[runtime]):
            notes.suspend("a")
    assert writers.failed == []
    assert notes.get("a", "/check") == [["ok"]]
    kept = {(note["id"], note["text"]) for note in notes.get("a", "/notes")}
    assert len(writers.acked) > SUSPENDS[runtime]
    # A POST is sent once, and here each was answered: neither lost nor doubled.
    assert kept == writers.acked
