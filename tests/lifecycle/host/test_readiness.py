"""Readiness against real sockets: which answer counts, and what is said of bad ones."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from lifecycle.host.readiness import NotReady, wait_ready
from lifecycle.templates import Readiness, Template
from runtimes.base import Endpoint


def template(path: str | None) -> Template:
    return Template(
        namespace="demo",
        name="t",
        digest="",
        command=("x",),
        working_dir=Path("/"),
        ports={"http": 8080},
        readiness=Readiness(path=path),
    )


@asynccontextmanager
async def answering(*answers: bytes) -> AsyncIterator[tuple[dict[str, Endpoint], list[bytes]]]:
    """A server that gives each connection the next answer, the last one for ever."""
    left, seen = list(answers), []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await reader.read(1024))
        writer.write(left.pop(0) if len(left) > 1 else left[0])
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        yield {"http": Endpoint(host="127.0.0.1", port=port, declared=8080)}, seen
    # The last look may have been taken back in the middle: its connection ends here all the same.
    async with asyncio.timeout(10):
        await asyncio.sleep(0.01)
        while vars(server)["_active_count"]:
            await asyncio.sleep(0.001)


def soon(seconds: float = 10.0) -> float:
    return asyncio.get_running_loop().time() + seconds


async def test_ready_at_the_first_good_answer() -> None:
    bad, good = b"HTTP/1.1 503 Busy\r\n\r\n", b"HTTP/1.1 204 No Content\r\n\r\n"
    async with answering(bad, b"", good) as (endpoints, seen):
        await wait_ready(template("/healthz"), endpoints, soon())
    assert len(seen) == 3 and seen[0].startswith(b"GET /healthz HTTP/1.1\r\nHost: t.demo\r\n")


async def test_without_a_path_a_connection_is_enough() -> None:
    async with answering(b"") as (endpoints, _seen):
        await wait_ready(template(None), endpoints, soon())


async def test_a7_a_port_that_never_opens_is_named() -> None:
    async with answering(b"") as (endpoints, _seen):
        pass  # closed again: nobody listens there
    with pytest.raises(NotReady, match=r"GET / on port 8080: .*refused"):
        await wait_ready(template("/"), endpoints, soon(0.1))


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"HTTP/1.1 500 Oh\r\n\r\n", "status 500"),
        (b"SSH-2.0-x\r\n", "not HTTP"),
        (b"", "closed without an answer"),
    ],
)
async def test_what_was_wrong_is_said(answer: bytes, said: str) -> None:
    async with answering(answer) as (endpoints, _seen):
        with pytest.raises(NotReady, match=said):
            await wait_ready(template("/"), endpoints, soon(0.1))
