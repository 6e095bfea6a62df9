"""Where work on the disk is done: in the loop while it is quick, in threads once it was not."""

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from lifecycle.host.disk import QUICK_S, SLOW_FOR_S, Disk
from lifecycle.host.kept import Kept
from lifecycle.host.places import Copy, Note
from placement.model import ActorId


class Clock:
    def __init__(self) -> None:
        self.now = 100.0
        self.waited = 0
        self.is_waiting = True

    def __call__(self) -> float:
        return self.now

    def taking(self, seconds: float) -> Callable[[], int]:
        def work() -> int:
            self.now += seconds
            self.waited += self.is_waiting
            return threading.get_ident()

        return work


async def test_quick_work_stays_in_the_loop_and_a_slow_disk_sends_it_to_threads_for_a_while() -> (
    None
):
    clock, here = Clock(), threading.get_ident()
    disk = Disk(clock, lambda: clock.waited)
    assert await disk.do(clock.taking(QUICK_S / 2)) == here
    assert await disk.do(clock.taking(QUICK_S * 2)) == here  # nobody could know
    assert await disk.do(clock.taking(0)) != here
    clock.now += SLOW_FOR_S
    assert await disk.do(clock.taking(0)) == here


async def test_work_that_was_only_kept_from_the_processor_stays_in_the_loop() -> None:
    clock, here = Clock(), threading.get_ident()
    clock.is_waiting = False
    disk = Disk(clock, lambda: clock.waited)
    for _ in range(3):
        assert await disk.do(clock.taking(QUICK_S * 2)) == here


async def test_a_busy_processor_is_told_from_a_slow_disk_by_the_system() -> None:
    disk = Disk()

    def work() -> None:
        until = time.thread_time() + QUICK_S * 2
        while time.thread_time() < until:
            pass

    await disk.do(work)
    assert disk.is_quick


async def test_slow_work_that_fails_counts_too() -> None:
    disk = Disk()

    def work() -> None:
        time.sleep(QUICK_S * 2)
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        await disk.do(work)
    assert not disk.is_quick


def made(tmp_path: Path) -> Copy:
    copy = Copy(tmp_path / "u1-1")
    copy.make(Note(actor=ActorId("demo", "c1")))
    (copy.durable / "%2Fdata").mkdir(parents=True)
    (copy.durable / "%2Fdata" / "file").write_text("kept")
    return copy


@pytest.mark.parametrize("leaves_more", [False, True])
async def test_what_is_put_away_is_in_the_cache_and_the_rest_is_gone(
    tmp_path: Path, leaves_more: bool
) -> None:
    copy, kept = made(tmp_path), Kept(tmp_path / "kept", 1000)
    if leaves_more:
        (copy.sandbox / "socket").write_text("")
    await Disk().put_away(copy, kept, "u1", "s1", 4)
    assert not copy.path.exists()
    assert kept.take("u1", "s1", frozenset({"%2Fdata"}), tmp_path / "again")
    assert (tmp_path / "again" / "%2Fdata" / "file").read_text() == "kept"


async def test_what_does_not_fit_is_not_kept_and_gone_all_the_same(tmp_path: Path) -> None:
    copy, kept = made(tmp_path), Kept(tmp_path / "kept", 3)
    assert not kept.has_room("u1", 4)
    await Disk().put_away(copy, kept, "u1", "s1", 4)
    assert not copy.path.exists()
    assert not kept.take("u1", "s1", frozenset({"%2Fdata"}), tmp_path / "again")
