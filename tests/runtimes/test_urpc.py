"""The control socket's way of speaking, with a peer that is a plain socket; that a real sandbox
understands it is shown by the driver's contract."""

import asyncio
import json
import os
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from runtimes.urpc import CallRefused, Ending, asked, call, exit_of, read


@asynccontextmanager
async def peer(path: Path, answer: Callable[[dict[str, Any]], bytes]) -> AsyncIterator[list[int]]:
    """Answers one call; what it yields holds the descriptors that came with it."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()
    got: list[int] = []

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            text, files, _, _ = socket.recv_fds(connection, 65_536, 8)
            got.extend(files)
            connection.sendall(answer(json.loads(text)))

    serving = asyncio.get_running_loop().run_in_executor(None, serve)
    try:
        yield got
        await serving
    finally:
        listener.close()
        for file in got:
            os.close(file)


async def test_a_call_carries_its_files_and_brings_the_answer(tmp_path: Path) -> None:
    def answer(asked: dict[str, Any]) -> bytes:
        assert asked == {"method": "m.Do", "arg": {"A": 1}}
        return json.dumps({"success": True, "err": "", "result": 7}).encode()

    with (tmp_path / "file").open("wb") as file:
        async with peer(tmp_path / "s", answer) as got:
            assert await call(tmp_path / "s", "m.Do", {"A": 1}, [file.fileno()]) == 7
            assert [os.fstat(each).st_ino for each in got] == [os.fstat(file.fileno()).st_ino]


async def test_a_call_that_is_asked_is_answered_whoever_gives_it_up(tmp_path: Path) -> None:
    async with peer(tmp_path / "s", lambda _: b'{"success":true,"result":7}'):
        answer = asked(tmp_path / "s", "m.Do", 10)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0):
                await asyncio.shield(answer)
        assert await answer == 7
    (tmp_path / "s").unlink()
    async with peer(tmp_path / "s", lambda _: b'{"success":false,"err":"no such thing"}'):
        with pytest.raises(CallRefused, match="Do: no such thing"):
            await asked(tmp_path / "s", "m.Do", 10)
    (tmp_path / "s").unlink()
    async with peer(tmp_path / "s", lambda _: b""):
        with pytest.raises(ConnectionResetError):
            await asked(tmp_path / "s", "m.Do", 10)


async def test_a_sandbox_that_does_not_answer_is_waited_for_so_long(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s"))
        listener.listen()
        with pytest.raises(TimeoutError):
            await asked(tmp_path / "s", "m.Do", 0.05)
    with pytest.raises(ConnectionRefusedError):
        await asked(tmp_path / "s", "m.Do", 10)


async def test_what_the_sandbox_refuses_is_told_in_its_words(tmp_path: Path) -> None:
    async with peer(tmp_path / "s", lambda _: b'{"success":false,"err":"no such thing"}'):
        with pytest.raises(CallRefused, match="Do: no such thing"):
            await call(tmp_path / "s", "m.Do", None)


async def test_a_sandbox_that_ends_under_a_call_is_an_error(tmp_path: Path) -> None:
    async with peer(tmp_path / "s", lambda _: b'{"succ'):
        with pytest.raises(ConnectionResetError):
            await call(tmp_path / "s", "m.Do", None)


async def test_the_end_is_told_with_its_status(tmp_path: Path) -> None:
    async with peer(tmp_path / "s", lambda _: b'{"success":true,"err":"","result":768}'):
        ending = Ending(tmp_path / "s", "c")
        assert exit_of(await ending.status or 0) == (3, None)
        ending.close()


async def test_a_sandbox_that_is_killed_or_gone_tells_nothing(tmp_path: Path) -> None:
    assert await Ending(tmp_path / "nobody", "c").status is None
    async with peer(tmp_path / "s", lambda _: b""):
        assert await Ending(tmp_path / "s", "c").status is None


def test_an_answer_is_read_when_it_is_whole() -> None:
    assert read(b'{"success":tr') is None
    assert read(b'{"success":true}') == {"success": True}


def test_a_signal_is_told_from_a_status() -> None:
    assert exit_of(11) == (None, 11)
