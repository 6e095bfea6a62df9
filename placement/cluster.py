"""A cluster's client that follows a slot which is being moved, one key at a time, without losing
its way.

While a slot moves, a key that has gone already is answered with ASK: the other node serves it to
who says ASKING directly before, on the same connection. redis-py 8.1 says it on whatever connection
of its pool is free and sends the command on another. The command is then refused; worse, the
allowance stays with the first connection, and whatever is sent there next for a key that has *not*
moved yet finds no such key: an actor that exists is not found, or made a second time.
"""

from typing import Any

from redis.asyncio import RedisCluster
from redis.asyncio.cluster import ClusterNode, PipelineCommand


class Nodes(RedisCluster):
    def get_node(
        self, host: str | None = None, port: int | None = None, node_name: str | None = None
    ) -> Any:  # a node, or what stands for it in the one place where redis-py asks by name
        node = super().get_node(host, port, node_name)
        return _Asked(node) if node_name is not None and node is not None else node


class _Asked:
    """The node of one redirection, which keeps ASKING until there is a command to go with it."""

    def __init__(self, node: ClusterNode) -> None:
        self._node = node

    def __getattr__(self, name: str) -> Any:  # whatever else redis-py does with a node
        return getattr(self._node, name)

    async def execute_command(self, *words: Any, **options: Any) -> Any:  # as redis-py has it
        if words == ("ASKING",):
            return None
        options.pop("asking", None)
        pair = [PipelineCommand(0, "ASKING"), PipelineCommand(1, *words, **options)]
        await self._node.execute_pipeline(pair)
        answer = pair[1].result
        if isinstance(answer, Exception):
            raise answer
        return answer
