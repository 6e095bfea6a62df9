"""Landlock, where the kernel has it: a domain of its own for each sandbox, which no signal and no
connection to an abstract unix socket leaves, and from which nothing outside can be traced.

This is what namespaces do not hold where a sandbox shares the worker's network: abstract sockets
(a desktop's bus, a container engine's) belong to no file and no user. Landlock's rules for files
are not used: who is under them may not mount, and bwrap must; its mounts say the same.
"""

import ctypes
import functools
import os
import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

_CREATE_RULESET, _RESTRICT_SELF = 444, 446
"""On every machine of Linux but alpha."""
_VERSION_FLAG = 1
_SCOPES_SINCE = 6
"""Linux 6.12."""
_ABSTRACT_UNIX_SOCKET, _SIGNAL = 1, 2
_PR_SET_NO_NEW_PRIVS = 38
_libc = ctypes.CDLL(None, use_errno=True)


class _Ruleset(ctypes.Structure):
    _fields_ = (
        ("files", ctypes.c_uint64),
        ("network", ctypes.c_uint64),
        ("scoped", ctypes.c_uint64),
    )


@functools.cache
def why_not() -> str:
    """Why sandboxes get no domain here; empty when they do."""
    version = _libc.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), _VERSION_FLAG)
    if version < 0:
        return "the kernel has no landlock, or does not run it"
    if version < _SCOPES_SINCE:
        return f"the kernel's landlock is of version {version}; scopes came with {_SCOPES_SINCE}"
    return ""


def confined(call: Callable[[], T]) -> T:
    """The answer of `call`, which runs in a thread of its own in a new domain; so are, for good,
    the processes that it begins. Raises OSError where a domain cannot be had."""
    # A domain is a thread's, and there is no way out of one: this thread ends with the call.
    answers: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            _enter()
            answers.append(call())
        except BaseException as error:  # noqa: BLE001 - handed to who called
            errors.append(error)

    thread = threading.Thread(target=run, name="landlock")
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return answers[0]


def _enter() -> None:
    wanted = _Ruleset(scoped=_ABSTRACT_UNIX_SOCKET | _SIGNAL)
    size = ctypes.c_size_t(ctypes.sizeof(wanted))
    rules = _checked(_libc.syscall(_CREATE_RULESET, ctypes.byref(wanted), size, 0), "landlock")
    try:
        # The kernel wants this of who is not root, and bwrap does the same a moment later.
        _checked(_libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs")
        _checked(_libc.syscall(_RESTRICT_SELF, rules, 0), "landlock")
    finally:
        os.close(rules)


def _checked(answer: int, what: str) -> int:
    if answer < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return answer
