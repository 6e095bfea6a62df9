"""What workers and gateways of this benchmark stand on, and how their processes are spoken to."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from lifecycle.catalogue import KnownTemplates
from placement.catalog import Catalog
from placement.connect import connect
from placement.leases import Leases, boot_time
from placement.table import Table

NAMESPACE, TEMPLATE = "bench", "nothing"
DOCUMENT: dict[str, object] = {
    "apiVersion": "rouse.dev/v1alpha1",
    "kind": "ActorTemplate",
    "metadata": {"namespace": NAMESPACE, "name": TEMPLATE},
    "spec": {
        "runtime": {"class": "process"},
        "command": ["nothing"],
        "ports": [{"name": "http", "port": 8080}],
        "idle": {"freezeAfter": "never", "suspendAfter": "never"},
        "create": {"onRequest": True},
    },
}


class Spine:
    def __init__(self, url: str) -> None:
        self.redis = connect(url)
        self.table = Table(self.redis)
        self.leases = Leases(self.redis, ttl_s=10, margin_s=1)
        self.templates = KnownTemplates(Catalog(self.redis), clock=boot_time)


@asynccontextmanager
async def spine(url: str) -> AsyncIterator[Spine]:
    made = Spine(url)
    try:
        yield made
    finally:
        await made.redis.aclose()


async def told() -> AsyncIterator[Any]:
    """Each line that the parent writes; ends with the parent."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        yield json.loads(line)


def tell(what: object) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


class Child:
    """A process of this benchmark: a line in, a line out."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.pid = process.pid

    @classmethod
    async def start(cls, module: str, *arguments: str) -> "Child":
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            f"scripts.bench_placement.{module}",
            *arguments,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=2**26,
        )
        child = cls(process)
        await child.hear()  # that it is up
        return child

    async def ask(self, what: object) -> Any:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(what).encode() + b"\n")
        return await self.hear()

    async def hear(self) -> Any:
        assert self._process.stdout is not None
        line = await self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"a process of the benchmark ended: {await self._process.wait()}")
        return json.loads(line)

    async def end(self) -> None:
        """It ends with its input; by force when it does not."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            async with asyncio.timeout(10):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()
