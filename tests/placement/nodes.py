"""A cluster of three nodes as operators run it, each with a third of the slots; slots can be moved
between them key by key, as a resharding does."""

import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from redis import Redis
from redis.crc import key_slot
from redis.exceptions import RedisError

from placement.server import server_binary
from tests.placement.spawn import free_port

START_S = 30.0
SLOTS = 16384


class Node:
    def __init__(self, directory: Path) -> None:
        self.port, self.bus = free_port(), free_port()
        self._directory = directory
        self._client = Redis(unix_socket_path=str(directory / "server.sock"))
        self._process: subprocess.Popen[bytes] | None = None
        self.id = ""

    def start(self) -> None:
        program, _ = server_binary()
        words = ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self._directory)]
        words += ["--unixsocket", str(self._directory / "server.sock"), "--save", ""]
        words += ["--cluster-enabled", "yes", "--cluster-port", str(self.bus)]
        words += ["--logfile", str(self._directory / "log"), "--cluster-node-timeout", "15000"]
        self._process = subprocess.Popen([program, *words], stdin=subprocess.DEVNULL)
        until(lambda: self.ask("PING"))
        self.id = self.ask("CLUSTER", "MYID").decode()

    def stop(self) -> None:
        self._client.close()
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def ask(self, *words: str | int) -> Any:  # whatever the server answers
        """Raw answers: redis-py would read those of CLUSTER in its own way."""
        connection = self._client.connection_pool.get_connection()
        try:
            connection.send_command(*words)  # type: ignore[no-untyped-call]
            return connection.read_response()
        finally:
            self._client.connection_pool.release(connection)


class Cluster:
    def __init__(self, nodes: list[Node]) -> None:
        self.nodes = nodes
        self.url = f"redis+cluster://127.0.0.1:{nodes[0].port}"

    def form(self) -> None:
        first, share = self.nodes[0], SLOTS // len(self.nodes)
        for n, node in enumerate(self.nodes):
            last = SLOTS - 1 if node is self.nodes[-1] else (n + 1) * share - 1
            node.ask("CLUSTER", "ADDSLOTSRANGE", n * share, last)
            node.ask("CLUSTER", "SET-CONFIG-EPOCH", n + 1)
            if node is not first:
                node.ask("CLUSTER", "MEET", "127.0.0.1", first.port, first.bus)
        until(self._is_whole)

    def _is_whole(self) -> bool:
        """As every node sees it."""
        told = [node.ask("CLUSTER", "INFO") for node in self.nodes]
        return all(b"cluster_state:ok" in t and b"cluster_known_nodes:3" in t for t in told)

    def owner(self, slot: int) -> Node:
        ranges = self.nodes[0].ask("CLUSTER", "SLOTS")
        [port] = [each[2][1] for each in ranges if each[0] <= slot <= each[1]]
        return next(node for node in self.nodes if node.port == port)

    def begin_move(self, key: str) -> "Move":
        slot = key_slot(key.encode())
        source = self.owner(slot)
        return Move(self, slot, source, next(node for node in self.nodes if node is not source))

    def flush(self) -> None:
        for node in self.nodes:
            node.ask("FLUSHALL")


class Move:
    """Of one slot. Between `open` and `close` the cluster answers ASK for what moved, and TRYAGAIN
    for what is in half; after that MOVED."""

    def __init__(self, cluster: Cluster, slot: int, source: Node, target: Node) -> None:
        self.slot, self.source, self.target = slot, source, target
        self._cluster = cluster

    def open(self) -> None:
        self.target.ask("CLUSTER", "SETSLOT", self.slot, "IMPORTING", self.source.id)
        self.source.ask("CLUSTER", "SETSLOT", self.slot, "MIGRATING", self.target.id)

    def carry_keys(self, most: int = 1000) -> int:
        keys = self.source.ask("CLUSTER", "GETKEYSINSLOT", self.slot, most)
        for key in keys:
            self.source.ask("MIGRATE", "127.0.0.1", self.target.port, key, 0, 5000)
        return len(keys)

    def close(self) -> None:
        while self.carry_keys():
            pass
        for node in (self.target, self.source, *self._cluster.nodes):
            node.ask("CLUSTER", "SETSLOT", self.slot, "NODE", self.target.id)


@contextmanager
def three_nodes(directory: Path) -> Iterator[Cluster]:
    with ExitStack() as stack:
        nodes = []
        for name in ("a", "b", "c"):
            (directory / name).mkdir()
            nodes.append(Node(directory / name))
            stack.callback(nodes[-1].stop)
            nodes[-1].start()
        cluster = Cluster(nodes)
        cluster.form()
        yield cluster


def until(ask: Callable[[], object]) -> None:
    deadline = time.monotonic() + START_S
    while True:
        try:
            if ask():
                return
        except (RedisError, OSError):
            pass
        if time.monotonic() > deadline:
            raise TimeoutError("a server did not come to be what it should")
        time.sleep(0.02)
