"""URLs into clients."""

import asyncio
import contextlib
from pathlib import Path

import pytest
from redis.asyncio import Redis, RedisCluster
from redis.asyncio.connection import SSLConnection

from placement.connect import connect
from placement.errors import AddressRefused
from tests.placement.spawn import spawned


@pytest.mark.parametrize("url", ["redis://localhost:6379/3", "unix:///run/r.sock", "rediss://h"])
async def test_one_server(url: str) -> None:
    client = connect(url)
    assert isinstance(client, Redis)
    options = client.connection_pool.connection_kwargs
    # A call is not repeated behind the back of who made it, but for a closed connection.
    assert 0 < options["socket_connect_timeout"] <= 5
    assert options["retry"].get_retries() <= 1
    is_tls = issubclass(client.connection_pool.connection_class, SSLConnection)
    assert is_tls == url.startswith("rediss")


@pytest.mark.parametrize(
    "url", ["redis+cluster://h:7000", "rediss+cluster://h:7000", "redis://h:7000?cluster=true"]
)
async def test_cluster(url: str) -> None:
    client = connect(url)
    assert isinstance(client, RedisCluster)
    await client.aclose()


async def test_cluster_false_is_one_server() -> None:
    assert isinstance(connect("redis://h:7000?cluster=false"), Redis)


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("http://h", "scheme 'http'"),
        ("localhost:6379", "scheme 'localhost'"),
        ("unix:///run/r.sock?cluster=true", "no unix socket"),
        ("redis://user:geheim@h?socket_connect_timeout=soon", "option of it is bad"),
        ("redis://user:geheim/x@h:port", "part or option"),
        ("redis://[geheim", "part or option"),
    ],
)
async def test_bad_url_is_refused_without_its_password(url: str, says: str) -> None:
    with pytest.raises(AddressRefused, match=says) as refused:
        connect(url)
    assert "geheim" not in str(refused.value)


async def echo(client: Redis, text: str) -> object:
    answer: object = await client.echo(text)
    return answer


async def test_more_callers_than_connections_wait_for_a_free_one(tmp_path: Path) -> None:
    async with spawned(tmp_path) as (server, _):
        client = connect(f"unix://{server.connection_pool.connection_kwargs['path']}")
        assert isinstance(client, Redis)
        async with contextlib.AsyncExitStack() as stack:
            for _ in range(64):
                held = await stack.enter_async_context(client.client())
                await held.ping()
            async with asyncio.TaskGroup() as group:
                late = [group.create_task(echo(client, str(n))) for n in range(100)]
                given_up = group.create_task(echo(client, "never asked"))
                while client.connection_pool.waiting < 101:  # type: ignore[attr-defined]
                    await asyncio.sleep(0)
                given_up.cancel()
                assert not any(task.done() for task in late)
                await stack.aclose()
            assert [task.result() for task in late] == [str(n).encode() for n in range(100)]
        # Nothing is lost on the way: all of them are free for the next ones.
        many = await asyncio.gather(*(echo(client, str(n)) for n in range(300)))
        assert many == [str(n).encode() for n in range(300)]
        info = await server.info("clients")
        assert int(info["connected_clients"]) <= 64 + 1
        await client.aclose()


async def test_a_call_that_is_cancelled_leaves_no_answer_to_the_next_one(tmp_path: Path) -> None:
    async with spawned(tmp_path) as (server, _):
        client = connect(f"unix://{server.connection_pool.connection_kwargs['path']}")
        assert isinstance(client, Redis)
        for _ in range(20):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.01):
                    await client.execute_command("BLPOP", "nothing", "0.02")  # type: ignore[no-untyped-call]
            assert await echo(client, "mine") == b"mine"
        await client.aclose()


async def test_a_connection_that_the_server_closed_is_made_anew(tmp_path: Path) -> None:
    async with spawned(tmp_path) as (server, _):
        client = connect(f"unix://{server.connection_pool.connection_kwargs['path']}")
        assert isinstance(client, Redis)
        assert await echo(client, "before")
        await server.client_kill_filter(_type="normal", skipme=True)
        assert await echo(client, "after") == b"after"
        await client.aclose()
