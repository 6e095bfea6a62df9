"""The compiled filters, loaded by a child that then makes the calls. The child is no sandbox: what
root could do without the filter, it is refused by the filter alone."""

import errno
import json
import os
import signal
import stat
import subprocess
import sys

import pytest

from runtimes import seccomp

FILTERS = seccomp.filters()
pytestmark = pytest.mark.skipif(
    not FILTERS.programs and os.environ.get("CI") != "true", reason=FILTERS.why_not
)

LOAD = """
import ctypes, json, os, sys
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
class Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("code", ctypes.c_char_p))
assert libc.prctl(38, 1, 0, 0, 0) == 0
programs, calls = json.loads(sys.stdin.read())
for program in map(bytes.fromhex, programs):
    assert libc.prctl(22, 2, ctypes.byref(Program(len(program) // 8, program)), 0, 0) == 0
"""
CALL = """
told = []
for number, *arguments in calls:
    answer = libc.syscall(ctypes.c_long(number), *map(ctypes.c_ulong, arguments))
    told.append(ctypes.get_errno() if answer < 0 else 0)
    ctypes.set_errno(0)
    if answer == 0 and number == FORK:
        os._exit(0)
print(json.dumps(told))
"""
# getpid as a program of 32 bits asks for it: mov eax, 20; int 0x80; ret.
OTHER_MACHINE = """
import mmap
page = mmap.mmap(-1, 4096, prot=7)
page.write(bytes.fromhex("b814000000cd80c3"))
ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))()
"""


def run(
    program: str, *calls: tuple[int, ...], filters: seccomp.Filters = FILTERS
) -> "subprocess.CompletedProcess[str]":
    given = json.dumps([[each.hex() for each in filters.programs], calls])
    return subprocess.run(
        [sys.executable, "-I", "-c", LOAD + program],
        input=given,
        capture_output=True,
        text=True,
        timeout=60,
    )


def number(name: str) -> int:
    import pyseccomp

    found: int = pyseccomp.resolve_syscall(pyseccomp.Arch.NATIVE, name)
    return found


def answers(
    *calls: tuple[str | int, *tuple[int, ...]], filters: seccomp.Filters = FILTERS
) -> list[str]:
    """The name of the error that each call ends with; empty where it does as it is told."""
    numbered = [(number(n) if isinstance(n, str) else n, *rest) for n, *rest in calls]
    done = run(f"FORK = {number('clone')}\n" + CALL, *numbered, filters=filters)
    assert done.returncode == 0, done.stderr
    return [errno.errorcode.get(code, "") for code in json.loads(done.stdout)]


def test_it_can_be_had_where_it_must() -> None:
    assert FILTERS.programs, FILTERS.why_not
    assert seccomp.filters() is FILTERS


def test_what_is_in_no_list_is_not_there() -> None:
    assert answers((5000,), ("clone3", 0, 0), ("io_uring_setup", 1, 0)) == ["ENOSYS"] * 3


def test_what_needs_privileges_is_refused_as_without_them() -> None:
    calls = ("mount", "ptrace", "keyctl", "setns", "bpf", "init_module", "process_vm_readv")
    assert answers(*((name, 0, 0, 0, 0, 0) for name in calls)) == ["EPERM"] * len(calls)


def test_no_namespace_is_made_by_either_call() -> None:
    user, net, files, child = 0x1000_0000, 0x4000_0000, 0x400, int(signal.SIGCHLD)
    assert (
        answers(("unshare", user), ("unshare", net | files), ("clone", user | child, 0, 0, 0, 0))
        == ["EPERM"] * 3
    )
    assert answers(("unshare", files), ("clone", child, 0, 0, 0, 0)) == ["", ""]


def test_nothing_is_typed_into_a_terminal_whatever_the_upper_bits() -> None:
    typing, linux, size = 0x5412, 0x541C, 0x541B
    calls = [("ioctl", 0, code, 0) for code in (typing, linux, 1 << 32 | typing)]
    assert answers(*calls) == ["EPERM"] * 3
    assert answers(("ioctl", 0, size, 0)) != ["EPERM"]


def test_sockets_are_of_four_families() -> None:
    unix, inet, inet6, netlink, packet, vsock, alg = 1, 2, 10, 16, 17, 40, 38
    stream, raw, uevents = 1, 3, 15
    strange = (packet, vsock, alg, 46, 1 << 32 | vsock, 1 << 63)
    assert answers(*(("socket", family, raw, 0) for family in strange)) == ["EAFNOSUPPORT"] * 6
    assert answers(("socket", netlink, raw, uevents)) == ["EPROTONOSUPPORT"]
    usual = [("socket", family, stream, 0) for family in (unix, inet, inet6)]
    assert answers(*usual, ("socket", netlink, raw, 0)) == [""] * 4


def test_addresses_stay_random() -> None:
    no_randomize, ask = 0x0004_0000, 0xFFFF_FFFF
    assert answers(("personality", no_randomize), ("personality", ask)) == ["ENOSYS", ""]


def test_no_device_node_is_made() -> None:
    path = 0  # EFAULT, where it got so far as to look
    modes = (stat.S_IFCHR | 0o666, stat.S_IFBLK, stat.S_IFIFO | 0o600)
    calls = [("mknodat", 0, path, mode, 0) for mode in modes]
    assert answers(*calls) == ["EPERM", "EPERM", "EFAULT"]


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="of x86_64")
def test_a_call_as_of_another_machine_ends_the_program() -> None:
    # A kernel without them ends it too, by another signal.
    assert -run(OTHER_MACHINE).returncode in (signal.SIGSYS, signal.SIGSEGV)


def test_a_parent_may_enter_namespaces_and_leave_its_keyring_and_nothing_more() -> None:
    user, join, bad = 0x1000_0000, 1, 1_000_000
    told = answers(
        ("setns", bad, 0),
        ("keyctl", join, 0),
        ("keyctl", 0, 0),
        ("unshare", user),
        ("mount", 0, 0, 0, 0, 0),
        ("ptrace", 0, 0, 0, 0),
        filters=seccomp.filters_of_a_parent(),
    )
    # Of the first the kernel itself says that there is no such descriptor.
    assert told[0] == "EBADF" and told[1] in ("", "ENOSYS")
    assert told[2] in ("EPERM", "ENOSYS") and told[3:] == ["EPERM"] * 3
