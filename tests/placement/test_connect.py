"""URLs into clients: one server or a cluster, by TLS, as an ACL user. Wire and pool as users have
them, the shared connection's own behaviour is test_pipe's."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trustme
from redis.asyncio import Redis, RedisCluster
from redis.asyncio.connection import SSLConnection
from redis.exceptions import NoPermissionError

from placement.catalog import Catalog
from placement.changes import ActorChanged, Feed
from placement.connect import Client, connect
from placement.errors import AddressRefused, Unavailable
from placement.leases import Leases
from placement.listing import Listing
from placement.model import ActorId, Claimant, WorkerRecord
from placement.table import Table
from tests.placement.nodes import Cluster
from tests.placement.spawn import free_port, spawned


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


ACL = "user rouse on >geheim123 resetkeys ~rouse:* resetchannels &rouse:* +@all -@dangerous +info"


@asynccontextmanager
async def tls_in_front(path: str, port: int, directory: Path) -> AsyncIterator[Path]:
    """TLS as an operator puts it before a server: the file of the authority to trust."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost", "127.0.0.1").configure_cert(context)
    trusted = directory / "ca.pem"
    authority.cert_pem.write_to_path(str(trusted))
    open_ones = 0

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data)
        writer.close()

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal open_ones
        open_ones += 1
        try:
            inner, outer = await asyncio.open_unix_connection(path)
            await asyncio.gather(pump(reader, outer), pump(inner, writer))
        finally:
            open_ones -= 1

    server = await asyncio.start_server(carry, "127.0.0.1", port, ssl=context)
    try:
        yield trusted
    finally:
        server.close()
        while open_ones:  # by the client's end, which they see
            await asyncio.sleep(0.005)


async def test_a_life_by_tls_as_a_user_who_may_only_touch_our_keys(tmp_path: Path) -> None:
    """The rule in docs/operations.md is enough for everything that rouse does."""
    port = free_port()
    async with spawned(tmp_path) as (server, _):
        words = ACL.split()
        await server.execute_command("ACL", "SETUSER", *words[1:])  # type: ignore[no-untyped-call]
        path = server.connection_pool.connection_kwargs["path"]
        async with tls_in_front(path, port, tmp_path) as trusted:
            base = f"localhost:{port}/0?ssl_ca_certs={trusted}"
            client = connect(f"rediss://rouse:geheim123@{base}")
            await a_life_of_everything(client)
            with pytest.raises(NoPermissionError):
                await client.get("others:key")
            await client.aclose()
            stranger = connect(f"rediss://rouse:wrong-one@{base}")
            with pytest.raises(Unavailable, match=r"(?i)invalid|wrongpass") as refused:
                await Table(stranger).read(C1)
            assert "wrong-one" not in str(refused.value)
            await stranger.aclose()
            doubting = connect(f"rediss://rouse:geheim123@localhost:{port}/0")
            with pytest.raises(Unavailable, match=r"(?i)certificate"):
                await Table(doubting).read(C1)
            await doubting.aclose()


async def test_a_cluster_as_a_user_who_may_only_touch_our_keys(nodes: Cluster) -> None:
    nodes.flush()
    for node in nodes.nodes:
        node.ask("ACL", "SETUSER", *ACL.split()[1:], "+cluster")
    try:
        client = connect(nodes.url.replace("//", "//rouse:geheim123@"))
        await a_life_of_everything(client)
        await client.aclose()
    finally:
        for node in nodes.nodes:
            node.ask("ACL", "DELUSER", "rouse")


C1 = ActorId.of("demo", "c1")


async def a_life_of_everything(client: Client) -> None:
    """Every kind of command that rouse sends."""
    table, leases, listing = Table(client), Leases(client, ttl_s=30, margin_s=0), Listing(client)
    feed, heard = Feed(client), asyncio.Event()
    feed.listen(lambda change: heard.set() if isinstance(change, ActorChanged) else None)
    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        running = group.create_task(feed.run())
        await feed.connected.wait()
        made = await table.create(C1, template="t")
        assert made.record is not None
        me = Claimant(worker="w1", incarnation="i1", door="d")
        owned = await table.claim(C1, me, budget_ms=60_000)
        assert owned.record is not None
        await table.release(owned.record.fence(), reason="x", failed=False)
        await heard.wait()
        running.cancel()
    record = WorkerRecord(worker="w1", incarnation="i1", door="d", rpc="r", slots=1, free=1)
    await leases.register(record)
    assert await leases.renew(record, "i1") and len(await leases.workers()) == 1
    assert await leases.retire("w1", "i1") and await leases.workers() == []
    assert await Catalog(client).put("demo", "t", b"{}", "d1")
    assert len(await Catalog(client).list()) == 1 and await Catalog(client).delete("demo", "t")
    assert len((await listing.list(None))[0]) == 1 and await listing.repair() == 0
    assert (await table.delete(C1, made.record.uid)).is_done
