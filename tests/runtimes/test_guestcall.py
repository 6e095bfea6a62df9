"""Calls into a guest, answered by a stand-in in the guest's place on a real cable."""

import asyncio
import json
import os
import secrets
import socket
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from runtimes import guestcall, netns, tap
from runtimes.base import RuntimeFailure

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: network namespaces")


class Place:
    """A namespace in which the guest's address is our own, and somebody answers there."""

    def __init__(self) -> None:
        self.tap = tap.Tap(f"rouse-test-{secrets.token_hex(4)}")
        self.asked: list[dict[str, object]] = []
        self.answer = b"{}\n"

    def make(self) -> None:
        for words in (
            ["netns", "add", self.tap.name],
            ["-n", self.tap.name, "addr", "add", f"{tap.GUEST}/32", "dev", "lo"],
            ["-n", self.tap.name, "link", "set", "lo", "up"],
        ):
            subprocess.run(["ip", *words], check=True)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.asked.append(json.loads(await reader.readline()))
        writer.write(self.answer)
        writer.close()
        await writer.wait_closed()

    async def listen(self) -> asyncio.Server:
        with netns.inside(str(self.tap.path)):
            listener = socket.socket()
            listener.bind((tap.GUEST, guestcall.PORT))
        return await asyncio.start_server(self.serve, sock=listener)


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    made = Place()
    made.make()
    yield made
    tap.remove(made.tap)


async def test_a_call_is_one_line_each_way(place: Place) -> None:
    async with await place.listen():
        await guestcall.call(place.tap, "signal", signal=15)
    assert place.asked == [{"do": "signal", "signal": 15}]


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (b'{"error":"no such program"}\n', "no such program"),
        (b"nonsense\n", "nonsense"),
        (b"[]\n", "nonsense"),
        (b"{", "cannot be reached"),
        (b"x" * 100_000, "cannot be reached"),
    ],
)
async def test_what_a_guest_says_is_judged(place: Place, answer: bytes, why: str) -> None:
    place.answer = answer
    async with await place.listen():
        with pytest.raises(RuntimeFailure, match=why):
            await guestcall.call(place.tap, "start")


async def test_it_is_waited_for_as_long_as_its_machine_lives(place: Place) -> None:
    lives = iter((True, True, True, False))
    with pytest.raises(RuntimeFailure, match="ended as it began"):
        await guestcall.listens(place.tap, lambda: next(lives))
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(guestcall.listens(place.tap, lambda: True), name="wait")
        async with await place.listen():
            await waiting


def test_no_two_copies_are_told_the_same() -> None:
    one, two = guestcall.afresh(), guestcall.afresh()
    assert one["entropy"] != two["entropy"] and two["time"] >= one["time"]
