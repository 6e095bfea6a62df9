"""The sides of the comparison: each started on the proxies' core in front of the same backend."""

import json
import os
import shlex
import shutil
import socket
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import trustme

from loadtest.bench import configs
from loadtest.product import Product, compiled, free_ports, installed, is_ready

PROXY_CORE, LOAD_CORE = 0, 1
ROUTER = "ROUSE_BENCH_ROUTER"
"""The command of agent-sandbox's Go router, with {port} where its port goes."""
_UP_WITHIN_S = 30.0
_TOOLS = {"wrk": "wrk", "nginx": "nginx-light", "haproxy": "haproxy", "taskset": "util-linux"}


class SideFailed(Exception):
    """It did not come up; the message has the end of what it said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    name: str
    port: int
    pids: tuple[int, ...]
    """Whose memory is the proxy's; nothing for none."""
    fields: Mapping[str, str] = field(default_factory=dict)
    is_tls: bool = False

    @property
    def url(self) -> str:
        return f"{'https' if self.is_tls else 'http'}://127.0.0.1:{self.port}"


def missing_tools() -> list[str]:
    """Debian packages of what is not here."""
    path = f"{os.environ.get('PATH', '')}:/usr/sbin"
    return [package for tool, package in _TOOLS.items() if shutil.which(tool, path=path) is None]


def tool(name: str) -> str:
    """Daemons live where only root looks by itself."""
    found = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if found is None:
        raise SideFailed(f"{name} is not installed")
    return found


@contextmanager
def on_core(core: int) -> Iterator[None]:
    """What is started inside runs on this core, and so does all that it starts."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def resident_mb(pids: Sequence[int]) -> float:
    total = 0
    for pid in pids:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                total += int(line.split()[1])
    return total / 1024


class Sides:
    """Starts what is asked for by name; all of it ends when the `with` does."""

    NAMES = (
        *("none", "haproxy", "nginx", "aiohttp", "router"),
        *("rouse", "rouse-pure", "rouse-2-hops"),
        *("haproxy-tls", "nginx-tls", "rouse-tls"),
    )

    def __init__(self, scratch: Path) -> None:
        self._scratch = scratch
        self._stack = ExitStack()
        self._www = scratch / "www"
        self._backend = 0
        self._up: Product | None = None

    def __enter__(self) -> "Sides":
        self._www.mkdir(parents=True)
        for name, size in configs.FILES.items():
            (self._www / name).write_bytes(os.urandom(size))
        self._backend = free_ports(1)[0]
        home = self._home("backend")
        text = configs.backend(str(self._backend), home, self._www)
        config = _write(home / "nginx.conf", text)
        self._start([tool("nginx"), "-c", str(config)], self._backend, LOAD_CORE)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def start(self, name: str) -> Side | None:
        """None for the router where nobody said where it is. Raises SideFailed, ProductFailed."""
        return {
            "none": self._none,
            "haproxy": self._haproxy,
            "nginx": self._nginx,
            "aiohttp": self._aiohttp,
            "router": self._router,
            "rouse": self._rouse,
            "rouse-pure": self._pure,
            "rouse-2-hops": self._two_hops,
            "haproxy-tls": lambda: self._haproxy(is_tls=True),
            "nginx-tls": lambda: self._nginx(is_tls=True),
            "rouse-tls": self._rouse_tls,
        }[name]()

    def _none(self) -> Side:
        return Side(name="none (backend)", port=self._backend, pids=())

    def _haproxy(self, *, is_tls: bool = False) -> Side:
        port = free_ports(1)[0]
        home = self._home("haproxy-tls" if is_tls else "haproxy")
        text = configs.haproxy(port, self._backend, self._pem() if is_tls else None)
        config = _write(home / "haproxy.cfg", text)
        pid = self._start([tool("haproxy"), "-db", "-f", str(config)], port)
        return Side(name="HAProxy, 1 thread", port=port, pids=(pid,), is_tls=is_tls)

    def _nginx(self, *, is_tls: bool = False) -> Side:
        port = free_ports(1)[0]
        home = self._home("nginx-tls" if is_tls else "nginx")
        text = configs.nginx(port, self._backend, home, self._pem() if is_tls else None)
        config = _write(home / "nginx.conf", text)
        pid = self._start([tool("nginx"), "-c", str(config)], port)
        return Side(name="nginx, 1 worker", port=port, pids=(pid,), is_tls=is_tls)

    def _aiohttp(self) -> Side:
        port = free_ports(1)[0]
        program = Path(__file__).with_name("aiohttp_proxy.py")
        pid = self._start([sys.executable, str(program), str(port), str(self._backend)], port)
        return Side(name="aiohttp proxy on uvloop", port=port, pids=(pid,))

    def _router(self) -> Side | None:
        given = os.environ.get(ROUTER)
        if not given:
            return None
        port = free_ports(1)[0]
        fields = configs.router_fields(self._backend)
        command = [word.replace("{port}", str(port)) for word in shlex.split(given)]
        pid = self._start(command, port, environ={"GOMAXPROCS": "1"})
        return Side(name="sandbox-router (Go)", port=port, pids=(pid,), fields=fields)

    def _rouse(self) -> Side:
        product = self._product()
        return Side(
            name="rouse up (edge and door)",
            port=_port(product.edge_url),
            pids=(product.pid,),
            fields={"Host": configs.actor_host()},
        )

    def _rouse_tls(self) -> Side:
        pem = str(self._pem())
        tls = {"ROUSE_EDGE_TLS_CERT_FILES": pem, "ROUSE_EDGE_TLS_KEY_FILES": pem}
        product = self._started("up-tls", {**compiled(), **tls})
        return Side(
            name="rouse up (edge and door)",
            port=_port(product.edge_url),
            pids=(product.pid,),
            fields={"Host": configs.actor_host()},
            is_tls=True,
        )

    def _pure(self) -> Side:
        """The same from its sources, as where there was no compiler."""
        product = self._started("pure", {})
        return Side(
            name="rouse up, not compiled",
            port=_port(product.edge_url),
            pids=(product.pid,),
            fields={"Host": configs.actor_host()},
        )

    def _two_hops(self) -> Side:
        """A gateway of its own, with the door of `rouse up` behind it: both on the one core."""
        up = self._product()
        edge, admin = free_ports(2)
        data = self._home("gateway")
        command = ["env", f"ROUSE_SNAPSHOTS_KEY_FILE={up.data / 'snapshot.key'}"]
        command += [str(installed()), "gateway", "--data", str(data)]
        command += ["--listen", f"127.0.0.1:{edge}", "--admin", f"127.0.0.1:{admin}"]
        command += ["--redis-url", f"unix://{up.data / 'redis' / 'server.sock'}"]
        command += ["--snapshots", f"file://{up.data / 'snapshots'}"]
        pid = self._start(command, edge, environ=compiled())
        _until(lambda: is_ready(f"http://127.0.0.1:{admin}"), "the gateway is not ready")
        return Side(
            name="rouse gateway, then a worker's door",
            port=edge,
            pids=(pid, up.pid),
            fields={"Host": configs.actor_host()},
        )

    def _product(self) -> Product:
        if self._up is None:
            self._up = self._started("up", compiled())
        return self._up

    def _started(self, name: str, environ: Mapping[str, str]) -> Product:
        home = self._home(name)
        with on_core(PROXY_CORE):
            product = self._stack.enter_context(
                Product(home, rouse=installed(), runtime="process", slots=10, environ=environ)
            )
        be_actor(product.admin_url, home, self._www)
        return product

    def _pem(self) -> Path:
        """One certificate for all, of the kind that costs its server least: ECDSA, P-256."""
        path = self._scratch / "edge.pem"
        if not path.exists():
            made = trustme.CA().issue_cert("127.0.0.1", configs.actor_host())
            made.private_key_and_cert_chain_pem.write_to_path(path)
        return path

    def _home(self, name: str) -> Path:
        (home := self._scratch / name).mkdir()
        return home

    def _start(
        self,
        command: Sequence[str],
        port: int,
        core: int = PROXY_CORE,
        environ: Mapping[str, str] | None = None,
    ) -> int:
        log = self._scratch / f"{port}.log"
        with on_core(core), log.open("wb") as out:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                env={**os.environ, **(environ or {})},
                start_new_session=True,
            )
        self._stack.callback(_end, process)
        _until(
            lambda: process.poll() is not None or _answers(port),
            f"{command[0]} does not answer",
        )
        if process.poll() is not None:
            raise SideFailed(f"{command[0]} ended: {log.read_text()[-2000:]}")
        return process.pid


def be_actor(admin_url: str, scratch: Path, www: Path) -> None:
    """Make the backend an actor of this product. Raises SideFailed."""
    config = scratch / "actor.conf.in"
    config.write_text(configs.backend(configs.PORT_MARK, scratch, www))
    document = configs.template(tool("nginx"), config, scratch, LOAD_CORE)
    request = urllib.request.Request(
        f"{admin_url}/v1/templates",
        json.dumps(document).encode(),
        {"Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=30):
            pass
    except urllib.error.HTTPError as error:
        with error:
            raise SideFailed(f"the template was refused: {error.read(500)!r}") from error


def first_answer(side: Side) -> None:
    """One request, by which rouse's actor wakes too. Raises SideFailed."""
    request = urllib.request.Request(f"{side.url}/", headers=dict(side.fields))
    # Who is there is no question of a bench that has just started it.
    context = ssl._create_unverified_context() if side.is_tls else None
    try:
        with urllib.request.urlopen(request, timeout=60, context=context) as answer:
            body = answer.read().decode()
    except OSError as error:
        raise SideFailed(f"{side.name}: {error}") from error
    if body != configs.SMALL:
        raise SideFailed(f"{side.name} answered {body[:200]!r}")


def _write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def _port(url: str) -> int:
    return int(url.rpartition(":")[2])


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
        return True
    except OSError:
        return False


def _until(look: Callable[[], bool], what: str) -> None:
    ends = time.monotonic() + _UP_WITHIN_S
    while not look():
        if time.monotonic() > ends:
            raise SideFailed(what)
        time.sleep(0.02)


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
