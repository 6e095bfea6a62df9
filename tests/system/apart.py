"""The roles apart, as a cluster has them: one Redis, workers and gateways as processes of their
own, with one snapshot store and one key among them."""

import contextlib
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from placement.server import server_binary
from tests.system.product import Process, counter, role, until


class TableServer:
    """A Redis (or Valkey) of the test's own, on a unix socket, that survives being killed."""

    def __init__(self) -> None:
        # Short, whatever the test is called: a socket's path has 100 bytes.
        self.directory = Path(tempfile.mkdtemp(prefix="rouse-table-"))
        self.socket = self.directory / "s"
        self.child: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"unix://{self.socket}"

    def start(self) -> "TableServer":
        program, _ = server_binary()
        options = {
            "port": "0",
            "unixsocket": str(self.socket),
            "dir": str(self.directory),
            "appendonly": "yes",
            "save": "",
            "logfile": str(self.directory / "log"),
        }
        words = [word for key, value in options.items() for word in (f"--{key}", value)]
        self.child = subprocess.Popen([str(program), *words], stdin=subprocess.DEVNULL)
        until("the table's server answers", lambda: self.call("PING") == "+PONG")
        return self

    def call(self, *words: str) -> str:
        """The first line of the answer; empty when there is none."""
        text = f"*{len(words)}\r\n" + "".join(f"${len(w)}\r\n{w}\r\n" for w in words)
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(5)
            try:
                client.connect(str(self.socket))
                client.sendall(text.encode())
                return client.recv(4096).split(b"\r\n")[0].decode()
            except OSError:
                return ""

    def signal(self, number: int) -> None:
        assert self.child is not None
        self.child.send_signal(number)

    def kill(self) -> None:
        """As a crash: SIGKILL."""
        assert self.child is not None
        self.child.kill()
        self.child.wait()

    def close(self) -> None:
        if self.child is not None and self.child.poll() is None:
            self.signal(signal.SIGCONT)
            self.kill()
        shutil.rmtree(self.directory, ignore_errors=True)


class Apart:
    """Roles over one table and one store. `environment` is every role's."""

    def __init__(self, root: Path, table: TableServer, **environment: str) -> None:
        self.root = root
        self.table = table
        key = root / "snapshot.key"
        key.write_text(secrets.token_hex(32))
        key.chmod(0o600)
        self._environment = {
            "ROUSE_REDIS_URL": table.url,
            "ROUSE_SNAPSHOTS_URL": f"file://{root / 'snapshots'}",
            "ROUSE_SNAPSHOTS_KEY_FILE": str(key),
            **environment,
        }

    def worker(self, name: str, *arguments: str, **environment: str) -> Process:
        more = {**self._environment, **environment}
        return role("worker", self.root / name, "--id", name, *arguments, **more)

    def gateway(self, name: str, *arguments: str, **environment: str) -> Process:
        more = {**self._environment, **environment}
        return role("gateway", self.root / name, *arguments, **more)


@contextlib.contextmanager
def table_server() -> Iterator[TableServer]:
    server = TableServer()
    try:
        yield server.start()
    finally:
        server.close()


def apply_counter(gateway: Process, ns: str, **spec: object) -> None:
    document = counter(**spec)
    document["metadata"]["namespace"] = ns
    answer = gateway.apply(document)
    assert answer.status in (200, 201), answer.body


def cold_wakes(*workers: Process) -> float:
    return sum(w.metric("rouse_wakes_total", result="ok", kind="cold") for w in workers)
