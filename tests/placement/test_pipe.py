"""The shared connection: answers find their callers, whoever leaves and whatever breaks. Against
the real server, and one that is mute or closes at will. TLS and ACL users are test_connect's."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from hiredis import Reader
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as ConnectionLost
from redis.exceptions import NoScriptError, ResponseError
from redis.exceptions import TimeoutError as NoAnswer

from placement import pipe
from placement.connect import Server, connect
from placement.server import PrivateServer


@asynccontextmanager
async def client(url: str) -> AsyncIterator[Server]:
    found = connect(url)
    assert isinstance(found, Server)
    try:
        yield found
    finally:
        await found.aclose()


async def test_many_callers_share_one_connection_and_each_gets_its_own_answer(
    redis: Redis, redis_server: PrivateServer
) -> None:
    async with client(redis_server.url) as it:
        before = int((await redis.info("clients"))["connected_clients"])
        await asyncio.gather(*(it.pipe.command("SET", f"k{n}", n) for n in range(500)))
        found = await asyncio.gather(*(it.pipe.command("GET", f"k{n}") for n in range(500)))
        assert found == [str(n).encode() for n in range(500)]
        assert int((await redis.info("clients"))["connected_clients"]) == before + 1


@pytest.mark.usefixtures("redis")
async def test_an_error_is_its_callers_own_and_nobody_elses(redis_server: PrivateServer) -> None:
    async with client(redis_server.url) as it:
        answers = await asyncio.gather(
            it.pipe.command("SET", "k", "text"),
            it.pipe.command("LPUSH", "k", "1"),
            it.pipe.command("EVALSHA", "0" * 40, 0),
            it.pipe.command("GET", "k"),
            return_exceptions=True,
        )
        assert isinstance(answers[1], ResponseError) and "WRONGTYPE" in str(answers[1])
        assert isinstance(answers[2], NoScriptError)
        assert (answers[0], answers[3]) == (b"OK", b"text")


async def test_a_caller_that_leaves_shifts_nobodys_answer(
    redis: Redis, redis_server: PrivateServer
) -> None:
    async with client(redis_server.url) as it:
        await it.pipe.command("PING")
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(it.pipe.command("INCR", "n")) for _ in range(100)]
            await asyncio.sleep(0)
            for task in tasks[::2]:
                task.cancel()
        # What was sent is carried out, and counted, all the same.
        assert [task.result() for task in tasks[1::2]] == list(range(2, 101, 2))
        assert await redis.get("n") == b"100"


_GREETINGS = {b"PING": b"+PONG\r\n", b"CLIENT": b"+OK\r\n"}

Behave = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def acting(path: Path, behave: Behave) -> AsyncIterator[Server]:
    """A client of a server that greets redis-py as it wants it and then does as `behave` says."""
    served: set[asyncio.StreamWriter] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        served.add(writer)
        try:
            commands = Reader()
            while data := await reader.read(4096):
                commands.feed(data)
                while (command := commands.gets()) is not False:
                    if command[0] not in _GREETINGS:
                        return await behave(reader, writer)
                    writer.write(_GREETINGS[command[0]])
        finally:
            writer.close()
            served.discard(writer)

    server = await asyncio.start_unix_server(serve, str(path))
    try:
        async with client(f"unix://{path}") as it:
            yield it
    finally:
        server.close()
        while served:  # by the client's end, which they see
            await asyncio.sleep(0.005)


async def test_a_mute_server_costs_its_time_once_and_all_who_wait_hear(
    tmp_path: Path,
) -> None:
    met = 0

    async def mute(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal met
        met += 1
        await reader.read()

    async with acting(tmp_path / "s", mute) as it:
        it.pipe = pipe.Pipe(it.connection_pool.make_connection, answer_s=0.2)
        async with asyncio.timeout(5):
            answers = await asyncio.gather(
                *(it.pipe.command("GET", f"k{n}") for n in range(20)), return_exceptions=True
            )
        assert all(isinstance(answer, NoAnswer) for answer in answers) and met == 1


async def test_a_connection_that_ends_is_tried_once_more_and_then_told(tmp_path: Path) -> None:
    met = 0

    async def close(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal met
        met += 1

    async with acting(tmp_path / "s", close) as it:
        with pytest.raises(ConnectionLost):
            await it.pipe.command("GET", "k")
        assert met == 2


async def test_what_is_no_answer_of_redis_ends_the_connection(tmp_path: Path) -> None:
    for said in (b"HTTP/1.1 400 Bad Request\r\n\r\n", b"+OK\r\n+OK\r\n"):

        async def speak(
            reader: asyncio.StreamReader, writer: asyncio.StreamWriter, said: bytes = said
        ) -> None:
            writer.write(said)
            await reader.read()

        async with acting(tmp_path / f"{len(said)}", speak) as it:
            if said.startswith(b"+OK"):
                assert await it.pipe.command("GET", "k") == b"OK"
                assert "ended" in repr(it.pipe)
            else:
                with pytest.raises(ConnectionLost, match="no Redis"):
                    await it.pipe.command("GET", "k")


async def test_a_restarted_server_is_found_again_by_the_next_command(tmp_path: Path) -> None:
    server = PrivateServer(tmp_path)
    await server.start()
    try:
        async with client(server.url) as it:
            await it.pipe.command("SET", "k", "v")
            await server.stop()
            with pytest.raises(ConnectionLost):
                await it.pipe.command("GET", "k")
            await server.start()
            assert await it.pipe.command("GET", "k") == b"v"
    finally:
        await server.stop()


async def test_an_idle_connection_is_replaced_before_it_is_trusted(
    redis: Redis, redis_server: PrivateServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its peer may have gone without a word: the command would wait for nobody."""
    async with client(redis_server.url) as it:
        first = await it.pipe.command("CLIENT", "ID")
        assert await it.pipe.command("CLIENT", "ID") == first
        monkeypatch.setattr(pipe, "_IDLE_S", 0.0)
        assert await it.pipe.command("CLIENT", "ID") != first
        assert await redis.ping()


async def test_an_unreachable_server_is_told_to_all_at_once(tmp_path: Path) -> None:
    async with client(f"unix://{tmp_path}/nobody") as it:
        async with asyncio.timeout(2):
            answers = await asyncio.gather(
                *(it.pipe.command("GET", "k") for _ in range(50)), return_exceptions=True
            )
        assert all(isinstance(answer, ConnectionLost) for answer in answers)


@pytest.mark.usefixtures("redis")
async def test_more_commands_than_may_wait_are_refused(
    redis_server: PrivateServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipe, "MOST_IN_FLIGHT", 10)
    async with client(redis_server.url) as it:
        await it.pipe.command("PING")
        answers = await asyncio.gather(
            *(it.pipe.command("PING") for _ in range(11)), return_exceptions=True
        )
        assert answers[:10] == [b"PONG"] * 10 and isinstance(answers[10], NoAnswer)
