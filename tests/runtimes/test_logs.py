"""Output of an actor: bounded, in order, and never lost with the worker."""

import asyncio
import os
from pathlib import Path

from runtimes.logs import Pump, Ring, make_fifo, older, open_for_actor, tail


def size(path: Path) -> int:
    return sum(part.stat().st_size for part in (path, older(path)) if part.exists())


def test_a_ring_keeps_the_newest_within_its_limit(tmp_path: Path) -> None:
    ring = Ring(tmp_path / "log", 100)
    for number in range(100):
        ring.write(f"line {number:03}\n".encode())
        assert size(tmp_path / "log") <= 100
    ring.close()
    assert tail(tmp_path / "log", 18) == b"line 098\nline 099\n"


def test_one_write_beyond_the_limit_keeps_its_end(tmp_path: Path) -> None:
    ring = Ring(tmp_path / "log", 100)
    ring.write(b"a" * 500 + b"end")
    ring.close()
    assert tail(tmp_path / "log", 1000) == b"a" * 47 + b"end"


def test_a_ring_goes_on_where_an_earlier_one_ended(tmp_path: Path) -> None:
    for text in (b"one\n", b"two\n"):
        ring = Ring(tmp_path / "log", 1000)
        ring.write(text)
        ring.close()
    assert tail(tmp_path / "log", 1000) == b"one\ntwo\n"


def test_tail_spans_both_files_and_is_empty_without_any(tmp_path: Path) -> None:
    path = tmp_path / "log"
    assert tail(path, 10) == b""
    older(path).write_bytes(b"abc")
    path.write_bytes(b"def")
    assert (tail(path, 4), tail(path, 100), tail(path, 0)) == (b"cdef", b"abcdef", b"")


async def test_output_waits_in_the_fifo_for_the_next_worker(tmp_path: Path) -> None:
    make_fifo(tmp_path / "fifo")
    actor = open_for_actor(tmp_path / "fifo")
    first = Pump(tmp_path / "fifo", Ring(tmp_path / "log", 1000), slug="s")
    first.start()
    os.write(actor, b"one\n")
    first.close()
    os.write(actor, b"nobody reads this yet\n")
    second = Pump(tmp_path / "fifo", Ring(tmp_path / "log", 1000), slug="s")
    second.start()
    second.close()
    second.close()
    os.close(actor)
    assert tail(tmp_path / "log", 1000) == b"one\nnobody reads this yet\n"


async def test_a_full_disk_costs_the_log_and_not_the_actor(tmp_path: Path) -> None:
    make_fifo(tmp_path / "fifo")
    actor = open_for_actor(tmp_path / "fifo")
    pump = Pump(tmp_path / "fifo", Ring(Path("/dev/full"), 1000), slug="s")
    pump.start()
    for _ in range(3):
        os.write(actor, b"x" * 60_000)
        async with asyncio.timeout(5):
            while _waiting(actor):
                await asyncio.sleep(0.001)
    pump.close()
    os.close(actor)


def _waiting(fifo: int) -> int:
    import fcntl
    import struct
    import termios

    return int(struct.unpack("i", fcntl.ioctl(fifo, termios.FIONREAD, b"\0\0\0\0"))[0])
