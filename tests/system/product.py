"""Start the product as a user does, ask it over HTTP, and end it by pid."""

import contextlib
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
ROUSE = Path(sys.executable).parent / "rouse"
EXAMPLES = ROOT / "examples"
PATIENCE_S = 30.0
"""For anything that a busy machine may delay; a test that waits this long has failed."""


def sandboxes(process: "Process") -> set[int]:
    """Pids of what runs of its worker's actors: what names a path in the worker's directory."""
    mark, found = os.fsencode(process.data / "worker"), set()
    for directory in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            told = b"".join(
                (directory / n).read_bytes() for n in ("environ", "cmdline", "mountinfo")
            )
            if mark in told:
                found.add(int(directory.name))
    return found


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def until(what: str, look: Callable[[], Any], patience_s: float = PATIENCE_S) -> Any:
    """The first truthy answer of `look`; fails with `what` when none comes."""
    deadline = time.monotonic() + patience_s
    while True:
        found = look()
        if found:
            return found
        assert time.monotonic() < deadline, f"waited {patience_s:g} s: {what}"
        time.sleep(0.02)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def reason(self) -> str:
        return str(self.json()["error"]["reason"])


def ask(
    port: int,
    method: str = "GET",
    path: str = "/",
    *,
    headers: Mapping[str, str] | None = None,
    body: bytes | None = None,
    timeout: float = 60,
) -> Answer:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        connection.request(method, path, body=body, headers=dict(headers or {}))
        answer = connection.getresponse()
        told = {name.lower(): value for name, value in answer.getheaders()}
        return Answer(status=answer.status, headers=told, body=answer.read())
    finally:
        connection.close()


@dataclass(slots=True, kw_only=True)
class Process:
    """One started role; its output is in `log`."""

    role: str
    data: Path
    edge: int
    admin: int
    arguments: Sequence[str] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    child: "subprocess.Popen[bytes] | None" = None

    @property
    def log(self) -> Path:
        return self.data / f"{self.role}.out"

    @property
    def pid(self) -> int:
        assert self.child is not None
        return self.child.pid

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.edge}"

    def start(self) -> "Process":
        self.data.mkdir(parents=True, exist_ok=True)
        command = [str(ROUSE), self.role, "--data", str(self.data)]
        command += ["--admin", f"127.0.0.1:{self.admin}", *self.arguments]
        if self.role != "worker":
            command += ["--listen", f"127.0.0.1:{self.edge}"]
        with self.log.open("ab") as out:
            self.child = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                # Where the product leaves its admin URL for a user, it must not be this user's.
                env={**os.environ, "XDG_STATE_HOME": str(self.data), **self.environment},
                cwd=self.data,
            )
        return self

    def ready(self) -> "Process":
        until(f"{self.role} is ready:\n{self.output()}", self._is_ready)
        return self

    def _is_ready(self) -> bool:
        assert self.child is not None
        assert self.child.poll() is None, f"{self.role} ended:\n{self.output()}"
        try:
            return ask(self.admin, path="/readyz", timeout=5).status == 200
        except OSError:
            return False

    def output(self) -> str:
        return self.log.read_text()[-5000:] if self.log.exists() else ""

    def kill(self) -> None:
        assert self.child is not None
        self.child.kill()
        self.child.wait()

    def stop(self, patience_s: float = 60) -> int:
        """SIGTERM; the exit status."""
        assert self.child is not None
        if self.child.poll() is None:
            self.child.send_signal(signal.SIGTERM)
        try:
            return self.child.wait(patience_s)
        except subprocess.TimeoutExpired:
            self.child.kill()
            raise AssertionError(f"{self.role} did not stop:\n{self.output()}") from None

    def end(self) -> None:
        """Of a test that is over: in order if it can be, gone in any case."""
        if self.child is None or self.child.poll() is not None:
            return
        self.child.send_signal(signal.SIGCONT)
        self.child.terminate()
        try:
            self.child.wait(30)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()

    # What a user does with it.

    def host(self, actor: str, ns: str = "demo") -> dict[str, str]:
        return {"Host": f"{actor}.{ns}.actors.localhost:{self.edge}"}

    def get(self, actor: str, path: str = "/", **more: Any) -> Answer:
        return self.send("GET", actor, path, **more)

    def send(
        self, method: str, actor: str, path: str = "/", *, ns: str = "demo", **more: Any
    ) -> Answer:
        headers = {**self.host(actor, ns), **more.pop("headers", {})}
        return ask(self.edge, method, path, headers=headers, **more)

    def cli(self, *args: str, **more: str) -> subprocess.CompletedProcess[str]:
        ours = {"ROUSE_ADMIN_URL": f"http://127.0.0.1:{self.admin}"}
        environment = {**os.environ, **ours, **more}
        return subprocess.run(
            [str(ROUSE), *args], capture_output=True, text=True, env=environment, timeout=120
        )

    def actor(self, name: str, ns: str = "demo") -> Any:
        """Its JSON; None when there is none."""
        answer = ask(self.admin, path=f"/v1/namespaces/{ns}/actors/{name}")
        return None if answer.status == 404 else answer.json()

    def state(self, name: str, ns: str = "demo") -> str:
        """As the table has it, or `frozen` where its worker says so."""
        told = self.actor(name, ns)
        residence = told.get("residence") or {}
        return "frozen" if residence.get("state") == "frozen" else str(told["state"])

    def apply(self, document: Mapping[str, Any]) -> Answer:
        return ask(
            self.admin,
            "POST",
            "/v1/templates",
            headers={"Content-Type": "application/json"},
            body=json.dumps(document).encode(),
        )

    def metric(self, name: str, **labels: str) -> float:
        """The sum over all samples of this name that have these labels."""
        total = 0.0
        for line in ask(self.admin, path="/metrics").body.decode().splitlines():
            found = re.fullmatch(r"(\w+)(?:\{(.*)\})? (\S+)", line)
            if found is None or found[1] != name:
                continue
            told = dict(re.findall(r'(\w+)="([^"]*)"', found[2] or ""))
            if all(told.get(label) == value for label, value in labels.items()):
                total += float(found[3])
        return total


def counter(**spec: Any) -> dict[str, Any]:
    """The counter's template, with idle times that a test sets itself; nothing sleeps unasked."""
    base: dict[str, Any] = {
        "command": ["python3", "-S", "-m", "counter"],
        "workingDir": str(EXAMPLES / "counter"),
        "env": [{"name": "GREETING", "value": "hello"}],
        "ports": [{"name": "http", "port": 8080}],
        "readiness": {"httpGet": {"path": "/healthz", "port": "http"}, "timeout": "20s"},
        "durable": ["/data"],
        "idle": {"freezeAfter": "never", "suspendAfter": "never"},
        "wake": {"timeout": "30s", "queue": 1024},
        "create": {"onRequest": True},
    }
    return template("counter", **{**base, **spec})


def template(name: str, ns: str = "demo", **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "rouse.dev/v1alpha1",
        "kind": "ActorTemplate",
        "metadata": {"namespace": ns, "name": name},
        "spec": spec,
    }


def role(role: str, data: Path, *arguments: str, **environment: str) -> Process:
    return Process(
        role=role,
        data=data,
        edge=free_port(),
        admin=free_port(),
        arguments=arguments,
        environment=environment,
    )


@contextlib.contextmanager
def started(*processes: Process) -> Iterator[Process]:
    """Started side by side and ready, the first one given; whichever the test left running is
    ended, by force if need be, the last one first."""
    try:
        for process in processes:
            process.start()
        for process in processes:
            process.ready()
        yield processes[0]
    finally:
        for process in reversed(processes):
            process.end()
