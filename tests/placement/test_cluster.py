"""A key asked for while its slot moves, word by word. Whole lives meanwhile: test_scripts."""

import asyncio

import pytest
from redis.exceptions import ResponseError

from placement.cluster import Nodes
from placement.connect import connect
from tests.placement.nodes import Cluster


async def test_no_allowance_is_left_behind_for_a_key_that_has_not_moved_yet(
    nodes: Cluster,
) -> None:
    """ASKING counts for the next command on its connection. Left on one in the pool, it would make
    the new node answer for a key that is still with the old one: not found, though it is there."""
    nodes.flush()
    client = connect(nodes.url)
    assert isinstance(client, Nodes)
    for n in range(2):
        await client.set(f"{{tag}}:{n}", f"value {n}")
    move = nodes.begin_move("{tag}:0")
    await asyncio.to_thread(move.open)
    try:
        new = client.nodes_manager.get_node(host="127.0.0.1", port=move.target.port)
        assert new is not None
        # Many free connections to the new node: each would take a word on its own.
        await asyncio.gather(*(new.execute_command("PING") for _ in range(20)))
        for _ in range(20):
            assert await client.get("{tag}:gone") is None  # not there: the new node is asked
            with pytest.raises(ResponseError, match=str(move.slot)):
                await new.execute_command("GET", "{tag}:1")
        assert await asyncio.to_thread(move.carry_keys, 1) == 1
        for n in range(2):
            assert await client.get(f"{{tag}}:{n}") == f"value {n}".encode()
        with pytest.raises(ResponseError, match="wrong kind"):
            await client.lpush("{tag}:0", "x")
    finally:
        await asyncio.to_thread(move.close)
    assert [await client.get(f"{{tag}}:{n}") for n in range(2)] == [b"value 0", b"value 1"]
    await client.aclose()
