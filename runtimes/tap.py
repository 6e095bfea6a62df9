"""A network for one virtual machine: a namespace with one device, whose other end the guest has.

In the namespace nobody listens and nothing is routed, as in `runtimes/netpair.py`: the guest
reaches the worker's side of its own cable and nothing else, for want of a wire. The addresses are
the same for every guest. Linux, root, iproute2, /dev/net/tun.
"""

import fcntl
import os
import struct
from pathlib import Path

from runtimes import netns, netpair
from runtimes.base import RuntimeFailure

WORKER, GUEST = netpair.WORKER, netpair.ACTOR
GUEST_MAC = "02:00:0a:d1:00:02"
DEVICE = "cable"
_WORKER_MAC = "02:00:0a:d1:00:01"
TUN = Path("/dev/net/tun")
_TUNSETIFF = 0x400454CA
_TAP, _NO_PI, _VNET_HDR = 0x0002, 0x1000, 0x4000


class Tap:
    """By name: whoever knows it can find or remove it."""

    def __init__(self, name: str) -> None:
        self.name = name

    @property
    def path(self) -> Path:
        return Path("/run/netns") / self.name


def make(tap: Tap) -> None:
    """Raises RuntimeFailure; what was made by then `remove` takes away. Blocks some 10 ms."""
    netpair.ip([], f"netns add {tap.name}")
    netpair.ip(
        ["-n", tap.name],
        f"tuntap add dev {DEVICE} mode tap vnet_hdr",
        f"link set {DEVICE} address {_WORKER_MAC} addrgenmode none",
        f"addr add {WORKER}/30 dev {DEVICE}",
        f"link set {DEVICE} up",
        f"neigh add {GUEST} lladdr {GUEST_MAC} dev {DEVICE} nud permanent",
    )


def device(tap: Tap) -> int:
    """The machine's end of it, as a descriptor. Raises RuntimeFailure."""
    request = struct.pack("16sH22x", DEVICE.encode(), _TAP | _NO_PI | _VNET_HDR)
    try:
        with netns.inside(str(tap.path)):
            made = os.open(TUN, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                fcntl.ioctl(made, _TUNSETIFF, request)
            except BaseException:
                os.close(made)
                raise
    except OSError as error:
        raise RuntimeFailure(f"no network for a machine: {error}", retryable=True) from error
    return made


def inode(tap: Tap) -> int:
    """Of its namespace. Raises OSError when it is gone."""
    return os.stat(tap.path).st_ino


def remove(tap: Tap) -> None:
    """Whatever there is of it; nothing is no error. Raises RuntimeFailure. Blocks."""
    if tap.path.exists():
        netpair.ip([], f"netns del {tap.name}")
