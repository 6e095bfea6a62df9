"""A primary and a replica, and a failover between them that forgets: clients find whoever is the
primary by one path, as they do by a name in the DNS."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from redis.asyncio import Redis

from tests.placement.spawn import free_port, spawned, until

QUICK = ("--repl-diskless-sync-delay", "0", "--appendonly", "no")


class Failover:
    def __init__(self, link: Path, primary: Redis, replica: Redis, replica_at: Path) -> None:
        self._link = link
        self._primary: Any = primary  # redis-py leaves its commands untyped
        self._replica: Any = replica
        self._replica_at = replica_at

    @property
    def url(self) -> str:
        return f"unix://{self._link}"

    async def forget_from_here(self) -> None:
        """What is written from now on the replica never gets."""
        # WAIT counts from a connection's own last write.
        await self._primary.set("written", "here")
        assert await self._primary.wait(1, 20_000) == 1
        await self._replica.execute_command("REPLICAOF", "NO", "ONE")

    async def fail_over(self) -> None:
        """The primary is gone at once; whoever connects anew finds the replica."""
        beside = self._link.with_name("next")
        beside.symlink_to(self._replica_at)
        beside.rename(self._link)
        await self._primary.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")


@asynccontextmanager
async def failover(directory: Path) -> AsyncIterator[Failover]:
    one, other = directory / "r1", directory / "r2"
    one.mkdir()
    other.mkdir()
    port = free_port()
    async with (
        spawned(one, *QUICK, port=port) as (primary, _),
        spawned(other, *QUICK, "--replicaof", "127.0.0.1", str(port)) as (replica, _),
    ):

        async def follows() -> bool:
            told: Any = await replica.info("replication")
            return bool(told["master_link_status"] == "up")

        await until(follows)
        link = directory / "table"
        link.symlink_to(one / "server.sock")
        yield Failover(link, primary, replica, other / "server.sock")
