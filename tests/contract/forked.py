"""The program that is forked: the contract's, and what can be asked only of a fork."""

import ctypes
import os
import random
import ssl
import sys
import uuid
from collections.abc import Callable
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

if TYPE_CHECKING:
    from tests.contract import actor
else:
    sys.path.append(str(Path(__file__).parent))
    import actor

_NEWUSER, _NEWNS = 0x10000000, 0x20000
_PTRACE_ATTACH = 16


def told(path: str, ask: dict[str, str]) -> Any:
    match path:
        case "/draw":
            return {
                "random": random.random(),
                "tls": ssl.RAND_bytes(8).hex(),
                "uuid1": str(uuid.uuid1()).split("-", 3)[3],
                "uuid4": str(uuid.uuid4()),
            }
        case "/main":
            return {"name": __name__, "argv": sys.argv, "first": sys.path[0]}
        case "/word":
            return sys.modules["its_own"].word
        case "/map":
            return Path("/proc/self/uid_map").read_text().splitlines()
        case "/reach":
            pid = int(ask["pid"])
            return {
                "kill": failure(lambda: os.kill(pid, 0)),
                "ptrace": failure(lambda: called("ptrace", _PTRACE_ATTACH, pid, None, None)),
                "memory": failure(lambda: open(f"/proc/{pid}/mem", "rb").close()),
            }
        case "/tries":
            return {
                "unshare": failure(lambda: called("unshare", _NEWNS)),
                "setns": failure(lambda: entered("/proc/1/ns/mnt")),
                "mount": failure(lambda: called("mount", b"x", b"/tmp", b"tmpfs", 0, None)),
                "umount": failure(lambda: called("umount2", b"/proc/sys", 2)),
                "chroot": failure(lambda: os.chroot("/tmp")),
                "root": failure(lambda: os.setresuid(0, 0, 0)),
                "sysctl": failure(lambda: open("/proc/sys/kernel/core_pattern", "w").close()),
                "users": failure(lambda: open("/proc/sys/user/max_user_namespaces", "w").close()),
            }
        case _:
            return actor.answer(path, ask)


def failure(attempt: Callable[[], object]) -> str:
    try:
        attempt()
    except OSError as error:
        return type(error).__name__
    return "it could"


def called(name: str, *arguments: Any) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, name)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def entered(path: str) -> None:
    there = os.open(path, os.O_RDONLY)
    try:
        called("setns", there, 0)
    finally:
        os.close(there)


class Handler(actor.Handler):
    def do_GET(self) -> None:
        url = urlsplit(self.path)
        ask = {name: values[0] for name, values in parse_qs(url.query).items()}
        self.reply(200, told(url.path, ask))


def serve() -> None:
    ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()


if __name__ == "__main__":
    serve()
