"""What a wake asks of Redis: every command on an actor, seen by MONITOR, and the bytes by INFO."""

import asyncio
import os
import re
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from placement.connect import Client
from placement.model import Operation
from placement.scripts import source

_LINE = re.compile(r'\+\S+ \[\d+ (?P<who>[^\]]*)\] "(?P<name>[^"]*)"(?P<rest>.*)')


class Seen:
    """`on_actors`: round trips by operation. `others`: leases, worker list, feed, templates: they
    come by the clock, not by the wake."""

    def __init__(self) -> None:
        self.on_actors: Counter[str] = Counter()
        self.others: Counter[str] = Counter()
        self._scripts = {source(op.value, "record")[1]: op.value for op in Operation}
        for name in ("lease_register", "lease_renew", "lease_retire", "index_add"):
            self._scripts[source(name)[1]] = name

    def take(self, line: str) -> None:
        found = _LINE.match(line)
        if found is None or found["who"] == "lua":
            return  # inside a script: no round trip
        name = found["name"].lower()
        if name in ("evalsha", "eval"):
            name = self._scripts.get(found["rest"].split('"')[1], name)
        (self.on_actors if '"rouse:a:' in found["rest"] else self.others)[name] += 1


@asynccontextmanager
async def watched(socket_path: str) -> AsyncIterator[Seen]:
    """Everything that the server carried out inside the block."""
    seen = Seen()
    reader, writer = await asyncio.open_unix_connection(socket_path, limit=2**20)
    writer.write(b"MONITOR\r\n")
    await reader.readline()
    end = "end of the watch"

    async def read() -> None:
        while (line := (await reader.readline()).decode(errors="replace")) and end not in line:
            seen.take(line)

    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(read(), name="monitor")
            yield seen
            # What was carried out before this mark has been told before it.
            _, marker = await asyncio.open_unix_connection(socket_path)
            marker.write(f'ECHO "{end}"\r\n'.encode())
            await marker.drain()
            marker.close()
    finally:
        writer.close()


async def traffic(redis: Client) -> int:
    info: Any = await redis.info("stats")
    return int(info["total_net_input_bytes"]) + int(info["total_net_output_bytes"])


async def memory(redis: Client) -> int:
    info: Any = await redis.info("memory")
    return int(info["used_memory"])


def cpu_s(pids: Sequence[int]) -> float:
    """Processor time of these processes so far: on a busy machine truer than the clock."""
    ticks = 0
    for pid in pids:
        # After the name, which may hold anything: utime and stime are the 12th and 13th from there.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


async def script_us(redis: Client) -> float:
    """Mean microseconds of the server's one thread per script so far."""
    info: Any = await redis.info("commandstats")
    found = info.get("cmdstat_evalsha")
    return 0.0 if found is None else float(found["usec_per_call"])
