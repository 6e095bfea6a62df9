"""Table, leases, listing, catalog and feed promise the same on one server and on a cluster: their
tests run on both."""

from collections.abc import AsyncIterator, Iterator

import pytest
from redis.asyncio import Redis, RedisCluster

from placement.connect import connect
from placement.server import PrivateServer
from tests.placement.nodes import Cluster, three_nodes

ON_BOTH = {
    "test_table",
    "test_leases",
    "test_listing",
    "test_catalog",
    "test_changes",
    "test_quotas",
}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if metafunc.module.__name__.rpartition(".")[2] in ON_BOTH and "redis" in metafunc.fixturenames:
        metafunc.parametrize("store", ["server", "cluster"], indirect=True, ids=str)


@pytest.fixture(scope="session")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """One for the whole run: it takes seconds to form."""
    with three_nodes(tmp_path_factory.mktemp("nodes")) as cluster:
        yield cluster


@pytest.fixture
def store(request: pytest.FixtureRequest) -> str:
    return str(getattr(request, "param", "server"))


@pytest.fixture
async def redis(
    store: str, redis_server: PrivateServer, request: pytest.FixtureRequest
) -> AsyncIterator[Redis | RedisCluster]:
    """A client of an empty store."""
    if store == "cluster":
        cluster: Cluster = request.getfixturevalue("nodes")
        cluster.flush()
        url = cluster.url
    else:
        url = redis_server.url
    client = connect(url)
    if isinstance(client, Redis):
        await client.flushall()
    else:
        _ = await client.initialize()  # its pubsub takes the nodes as known
    yield client
    await client.aclose()
