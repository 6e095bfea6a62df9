"""Open a path below a directory, whatever links stand on the way: openat2(2) in one call.

A guest makes links in its own directories; none of them may lead the worker's side out. Linux 5.6.
"""

import ctypes
import os
import struct

_libc = ctypes.CDLL(None, use_errno=True)
_OPENAT2 = 437
_HOW = struct.Struct("<QQQ")
_NO_MAGICLINKS, _NO_SYMLINKS, _BENEATH = 0x02, 0x04, 0x08


def open_beneath(root: int, path: bytes, flags: int, mode: int = 0) -> int:
    """A descriptor. Raises OSError: ELOOP where a link stands on the way or at the end."""
    how = _HOW.pack(flags | os.O_CLOEXEC, mode, _BENEATH | _NO_SYMLINKS | _NO_MAGICLINKS)
    found: int = _libc.syscall(_OPENAT2, root, path or b".", how, len(how))
    if found < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return found
