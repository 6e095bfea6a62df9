"""URLs into clients."""

import pytest
from redis.asyncio import Redis, RedisCluster
from redis.asyncio.connection import SSLConnection

from placement.connect import connect
from placement.errors import AddressRefused


@pytest.mark.parametrize("url", ["redis://localhost:6379/3", "unix:///run/r.sock", "rediss://h"])
async def test_one_server(url: str) -> None:
    client = connect(url)
    assert isinstance(client, Redis)
    options = client.connection_pool.connection_kwargs
    # A call is not repeated behind the back of who made it, but for a closed connection.
    assert 0 < options["socket_connect_timeout"] <= 5
    assert options["retry"].get_retries() <= 1
    assert (client.connection_pool.connection_class is SSLConnection) == url.startswith("rediss")


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
