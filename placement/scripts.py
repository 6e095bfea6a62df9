"""Runs the Lua operations, on one server or a cluster, and waits for replicas where told to."""

import hashlib
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import Any

from redis.asyncio import Redis, RedisCluster
from redis.asyncio.cluster import PipelineCommand
from redis.exceptions import MovedError, NoScriptError

from placement.connect import Client, ask
from placement.errors import Unavailable, reaching

_WAIT_MS = 1_000
"""How long one call waits for its replicas before it says that it does not know."""


@cache
def source(name: str, prelude: str = "") -> tuple[str, str]:
    """The text of `lua/<name>.lua`, after that of the prelude, and its SHA-1."""
    room = files("placement") / "lua"
    text = "\n".join((room / f"{part}.lua").read_text() for part in (prelude, name) if part)
    return text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()


class Scripts:
    """With `replicas` an answer counts only once that many of them have the write: else
    Unavailable, and the same call can be repeated. Without, a failover of Redis may cost what was
    not copied yet: a claim, a commit, a renewal that was answered is then as if never made."""

    def __init__(self, redis: Client, *, replicas: int = 0) -> None:
        self._redis = redis
        self._replicas = replicas

    def __repr__(self) -> str:
        return f"<Scripts {type(self._redis).__name__}, waits for {self._replicas} replicas>"

    async def run(
        self, name: str, keys: Sequence[str], arguments: Sequence[str | bytes], prelude: str = ""
    ) -> Any:  # whatever the script's header says it answers
        """The script's answer. Raises Unavailable: then it may have been carried out or not."""
        text, sha = source(name, prelude)
        tail = (len(keys), *keys, *arguments)
        try:
            return await self._command(keys[0], ("EVALSHA", sha, *tail))
        except NoScriptError:
            # A server that has just started. EVAL leaves the script there for the next one.
            return await self._command(keys[0], ("EVAL", text, *tail))

    async def _command(self, key: str, command: tuple[str | bytes | int, ...]) -> Any:
        if not self._replicas:
            return await ask(self._redis, *command)
        async with reaching():
            return await self._replicated(key, command)

    async def _replicated(self, key: str, command: tuple[str | bytes | int, ...]) -> Any:
        wait = ("WAIT", self._replicas, _WAIT_MS)
        # On one connection: WAIT asks how far the replicas are with what this connection wrote.
        if isinstance(self._redis, RedisCluster):
            answer, copies = await _on_node(self._redis, key, command, wait)
        else:
            answer, copies = await _on_server(self._redis, command, wait)
        if isinstance(answer, Exception):
            raise answer
        if not isinstance(copies, int) or copies < self._replicas:
            raise Unavailable(f"{copies} of {self._replicas} replicas have it")
        return answer


async def _on_server(redis: Redis, *commands: tuple[str | bytes | int, ...]) -> list[Any]:
    async with redis.pipeline(transaction=False) as pipe:
        for command in commands:
            pipe.execute_command(*command)
        return await pipe.execute(raise_on_error=False)


async def _on_node(
    cluster: RedisCluster, key: str, *commands: tuple[str | bytes | int, ...]
) -> list[Any]:
    # redis-py sends a command without a key, as WAIT is, to a connection of its own choice: the
    # node's own pipeline keeps both on one.
    _ = await cluster.initialize()
    queue = [PipelineCommand(n, *command) for n, command in enumerate(commands)]
    node = cluster.nodes_manager.get_node_from_slot(cluster.keyslot(key))
    await node.execute_pipeline(queue)
    results = [command.result for command in queue]
    if isinstance(results[0], MovedError):
        await cluster.nodes_manager.move_slot(results[0])
    return results
