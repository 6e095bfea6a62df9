"""Programs that try to get out, for the drivers' escape tests. Each attempt tells what came of it.

Run as a file, in a sandbox only. What it prints is JSON: the name of the error, or what it found.
"""

import ctypes
import errno
import fcntl
import functools
import json
import os
import signal
import socket
import stat
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
# For which libc has no function.
X86 = {"keyctl": 250, "add_key": 248, "request_key": 249, "bpf": 321, "clone3": 435}
ARM = {"keyctl": 219, "add_key": 217, "request_key": 218, "bpf": 280, "clone3": 435}
NUMBERS = X86 if os.uname().machine == "x86_64" else ARM


def told(call: Callable[[], Any]) -> Any:
    """The error's name, else what came of it."""
    try:
        found = call()
        return "done" if found is None else found
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, str(error))


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def libc_says(name: str, *arguments: Any) -> str:
    ctypes.set_errno(0)
    if name in NUMBERS:
        answer = libc.syscall(ctypes.c_long(NUMBERS[name]), *arguments)
    else:
        answer = getattr(libc, name)(*arguments)
    return "done" if answer >= 0 else errno.errorcode[ctypes.get_errno()]


def processes(worker: str) -> dict[str, Any]:
    return {
        "seen": sorted(int(name) for name in os.listdir("/proc") if name.isdigit()),
        "signal": told(lambda: os.kill(int(worker), 0)),
        "everyone": told(lambda: os.kill(-1, 0)),
        "ptrace": libc_says("ptrace", 16, 1, 0, 0),
        "memory": libc_says("process_vm_readv", 1, 0, 0, 0, 0, 0),
        "environment of process 1": told(lambda: Path("/proc/1/environ").read_text()),
        "descriptors": sorted(int(name) for name in os.listdir("/proc/self/fd"))[:-1],
        "terminal": told(lambda: os.open("/dev/tty", os.O_RDWR)),
    }


def privileges() -> dict[str, Any]:
    lines = Path("/proc/self/status").read_text().splitlines()
    status = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
    return {
        **{name: int(status[f"Cap{name}"], 16) for name in ("Eff", "Prm", "Bnd", "Amb")},
        "no new privileges": status["NoNewPrivs"],
        "filter": status["Seccomp"],
        "be root": told(lambda: os.setuid(0)),
        "setuid programs": told(lambda: os.system("su -c true </dev/null >/dev/null 2>&1") == 0),
    }


def mounts() -> dict[str, Any]:
    nothing = ctypes.c_char_p(None)
    return {
        "tmpfs": libc_says("mount", b"x", b"/tmp", b"tmpfs", 0, nothing),
        "bind": libc_says("mount", b"/", b"/tmp", nothing, 4096, nothing),
        "writable": libc_says("mount", b"x", b"/usr", nothing, 32 | 4096, nothing),
        "uncover": libc_says("umount2", b"/proc", 2),
        "chroot": told(lambda: os.chroot("/tmp")),
        **{
            f"unshare {flag:#x}": libc_says("unshare", flag)
            for flag in (0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000)
        },
        "clone into a user namespace": libc_says("clone3", 0, 0),
        "enter": libc_says("setns", os.open("/proc/1/ns/user", os.O_RDONLY), 0),
        "device": told(lambda: os.mknod("/tmp/mem", stat.S_IFCHR | 0o666, os.makedev(1, 1))),
        "devices": [name for name in ("mem", "kmsg", "kvm", "fuse", "vda", "vsock", "loop-control")
                    if os.path.exists(f"/dev/{name}")],
        "places": [place for place in ("/sys/kernel", "/sys/fs/cgroup", "/run", "/proc/sched_debug")
                   if os.path.exists(place) and told(functools.partial(os.listdir, place)) != []],
    }  # fmt: skip


def kernel() -> dict[str, Any]:
    def write(path: str) -> Any:
        return told(lambda: os.close(os.open(path, os.O_WRONLY)))

    return {
        "keyring": libc_says("keyctl", 1, 0),
        "key": libc_says("add_key", b"user", b"x", b"x", 1, ctypes.c_int(-3)),
        "keys": told(lambda: Path("/proc/keys").read_text()),
        "bpf": libc_says("bpf", 0, 0, 0),
        "hostname": libc_says("sethostname", b"x", 1),
        "core pattern": write("/proc/sys/kernel/core_pattern"),
        "sysrq": write("/proc/sysrq-trigger"),
        "less likely killed": told(lambda: Path("/proc/self/oom_score_adj").write_text("-1000")),
        "terminal": told(lambda: fcntl.ioctl(0, 0x5412, b"x")),
        "terminal, by upper bits": libc_says("ioctl", 0, ctypes.c_ulong(1 << 32 | 0x5412), b"x"),
    }


def sockets(name: str, port: str) -> dict[str, Any]:
    def opened(family: int, kind: int, protocol: int = 0) -> Any:
        return told(lambda: socket.socket(family, kind, protocol).close())

    def connected(family: int, address: Any) -> Any:
        with socket.socket(family) as asker:
            return told(lambda: asker.connect(address))

    return {
        "raw": opened(socket.AF_INET, socket.SOCK_RAW, 1),
        "packet": opened(17, socket.SOCK_RAW),
        "vsock": opened(40, socket.SOCK_STREAM),
        "alg": opened(38, socket.SOCK_SEQPACKET),
        "uevents": opened(socket.AF_NETLINK, socket.SOCK_RAW, 15),
        "routes": opened(socket.AF_NETLINK, socket.SOCK_RAW, 0),
        "abstract": connected(socket.AF_UNIX, "\0" + name),
        "loopback": connected(socket.AF_INET, ("127.0.0.1", int(port))),
    }


def fill(path: str, most: int) -> Any:
    with open(path, "wb", buffering=0) as file:
        for _ in range(most):
            file.write(b"x" * (1 << 20))
    return "filled"


def disk() -> dict[str, Any]:
    places = ("/", "/usr", "/etc", "/dev", "/var", "/proc", "/sys")
    return {place: told(functools.partial(fill, f"{place}/bomb", 1)) for place in places}


def temporary(place: str, most: str) -> dict[str, Any]:
    return {place: told(functools.partial(fill, f"{place}/bomb", int(most)))}


def memory(each: str) -> dict[str, Any]:
    """Several processes, each below the limit, which together are far beyond it."""
    children = []
    for _ in range(6):
        child = os.fork()
        if child == 0:
            held = bytearray(int(each))
            held[::4096] = b"x" * len(held[::4096])
            time.sleep(1)
            os._exit(0)
        children.append(child)
    statuses = [os.waitpid(child, 0)[1] for child in children]
    return {"killed": sum(os.WIFSIGNALED(s) and os.WTERMSIG(s) == signal.SIGKILL for s in statuses)}


def swaps(place: str, outside: str) -> None:
    """For ever: a directory and a file, which now are that and now links to what is outside."""
    os.chdir(place)
    os.makedirs("real", exist_ok=True)
    for where in ("real/secret", "plain"):
        Path(where).write_text("mine")
    os.symlink(outside, "lure")
    os.symlink(f"{outside}/secret", "plain-lure")
    say("swapping")
    while True:
        for one, other in (("real", "lure"), ("plain", "plain-lure")):
            libc.renameat2(-100, one.encode(), -100, other.encode(), 2)  # RENAME_EXCHANGE


ATTEMPTS: dict[str, Callable[..., Any]] = {
    attempt.__name__: attempt
    for attempt in (processes, privileges, mounts, kernel, sockets, disk, temporary, memory, swaps)
}

if __name__ == "__main__":
    say(json.dumps(ATTEMPTS[sys.argv[1]](*sys.argv[2:])))
