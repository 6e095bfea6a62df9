"""The seccomp filters of a sandbox, compiled by libseccomp from the lists in `syscalls`.

Two programs, for one cannot say "allowed, but not with this argument": the kernel runs both and
takes the stricter answer. They are the same for every actor, so they are compiled once.
"""

import ctypes
import errno
import functools
import os
import platform
from collections.abc import Mapping
from typing import Any, NamedTuple

from runtimes import syscalls

MACHINES = ("x86_64", "aarch64")
"""Where clone(2) has its flags first and the lists were read against the table of calls."""
_PR_GET_SECCOMP = 21
_NONE: Mapping[str, tuple[syscalls.Is, ...]] = {}


class Filters(NamedTuple):
    programs: tuple[bytes, ...]
    """BPF, as bwrap takes them; none where `why_not` says why."""
    why_not: str = ""


@functools.cache
def filters() -> Filters:
    """Blocks for some 50 ms when first called."""
    if platform.machine() not in MACHINES:
        return Filters((), f"no list of system calls for {platform.machine()}")
    if not _kernel_filters():
        return Filters((), "the kernel has no seccomp")
    try:
        import pyseccomp
    except (ImportError, RuntimeError, OSError) as error:
        return Filters((), f"no libseccomp ({error}): install libseccomp2")
    return Filters((_allowing(pyseccomp), _refusing(pyseccomp)))


@functools.cache
def filters_of_a_parent() -> Filters:
    """Of a zygote: its children enter their sandboxes themselves, and get their own filters there
    on top. What it may enter is what it is handed and its user made (enclosing)."""
    if why_not := filters().why_not:
        return Filters((), why_not)
    import pyseccomp

    return Filters((_allowing(pyseccomp, syscalls.ENTERING), _refusing(pyseccomp)))


# pyseccomp has no types; what comes out of it is bytes.
def _allowing(library: Any, more: Mapping[str, tuple[syscalls.Is, ...]] = _NONE) -> bytes:
    """What is in no list answers ENOSYS, also what is newer than the library."""
    made = library.SyscallFilter(library.ERRNO(errno.ENOSYS))
    for name in syscalls.names(syscalls.ALLOWED):
        _add(library, made, library.ALLOW, name)
    for kind in syscalls.PERSONALITIES:
        _add(library, made, library.ALLOW, "personality", syscalls.Is(0, kind))
    for name in syscalls.names(syscalls.REFUSED):
        if name not in more:
            _add(library, made, library.ERRNO(errno.EPERM), name)
    for name, tests in more.items():
        _add(library, made, library.ALLOW, name, *tests)
    return _export(library, made)


def _refusing(library: Any) -> bytes:
    made = library.SyscallFilter(library.ALLOW)
    for rule in syscalls.rules():
        _add(library, made, library.ERRNO(rule.error), rule.call, *rule.tests)
    return _export(library, made)


def _add(
    library: Any, made: Any, action: int, name: str, *tests: syscalls.Is | syscalls.AtLeast
) -> None:
    number = library.resolve_syscall(library.Arch.NATIVE, name)
    if number < 0:
        return  # not on this machine, or the library is older than the call
    made.add_rule(action, number, *(_argument(library, test) for test in tests))


def _argument(library: Any, test: syscalls.Is | syscalls.AtLeast) -> Any:
    match test:
        case syscalls.Is(argument, value, bits):
            return library.Arg(argument, library.MASKED_EQ, bits, value)
        case syscalls.AtLeast(argument, value):
            return library.Arg(argument, library.GE, value)


def _export(library: Any, made: Any) -> bytes:
    # Calls of other machines (32 bits on 64) end the program: this is libseccomp's own default.
    with open(os.memfd_create("rouse-seccomp", os.MFD_CLOEXEC), "rb") as file:
        made.export_bpf(file)
        file.seek(0)
        return file.read()


def _kernel_filters() -> bool:
    return bool(ctypes.CDLL(None).prctl(_PR_GET_SECCOMP, 0, 0, 0, 0) >= 0)
