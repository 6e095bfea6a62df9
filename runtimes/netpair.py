"""A network for one actor: two namespaces and the one cable between them. Linux, root, iproute2.

The actor's namespace has its end of the cable and nothing else. The other end is in a namespace in
which nobody listens and nothing is routed, so there is no way to another actor, to a port of the
machine or to an address such as 169.254.169.254; not by a rule that someone might forget, but for
want of a wire. The worker makes its sockets to the actor there. The addresses are the same in
every pair: a program that is restored elsewhere finds its own unchanged.
"""

import base64
import contextlib
import ipaddress
import os
import socket
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

from runtimes import netns
from runtimes.base import RuntimeFailure

WORKER, ACTOR = "10.209.0.1", "10.209.0.2"
_WORKER_MAC, _ACTOR_MAC = "02:00:0a:d1:00:01", "02:00:0a:d1:00:02"
_PREFIX = 30
_NAMES = Path("/run/netns")
_LIMIT_S = 10.0
# packet(7) and socket(7); Python has no names for these.
_ETH_P_ALL = 3
_SOL_PACKET = 263
_PACKET_VNET_HDR = 15
_SO_SNDBUFFORCE, _SO_RCVBUFFORCE = 32, 33
_BUFFER_BYTES = 4 << 20


class Pair(NamedTuple):
    """By name: whoever knows it can find or remove the pair."""

    name: str

    @property
    def worker_side(self) -> str:
        return f"{self.name}-w"

    @property
    def actor_side(self) -> str:
        return f"{self.name}-a"

    @property
    def worker_path(self) -> Path:
        return _NAMES / self.worker_side

    @property
    def actor_path(self) -> Path:
        return _NAMES / self.actor_side


def make(pair: Pair) -> None:
    """Raises RuntimeFailure; what was made by then `remove` takes away. Blocks some 10 ms."""
    worker, actor = pair.worker_side, pair.actor_side
    ip(
        [],
        f"netns add {worker}",
        f"netns add {actor}",
        f"link add cable address {_WORKER_MAC} netns {worker} type veth "
        f"peer name eth0 address {_ACTOR_MAC} netns {actor}",
    )
    # No address by IPv6, and each knows the other's link address: nothing is asked or announced.
    ip(
        ["-n", worker],
        "link set cable addrgenmode none",
        f"addr add {WORKER}/{_PREFIX} dev cable",
        "link set cable up",
        "link set lo up",
        # Every other address is here too: who calls one meets what listens for any, or a refusal
        # at once. Behind the cable's own route, or answers would not find back.
        "route add local 0.0.0.0/0 dev lo table main",
        f"neigh add {ACTOR} lladdr {_ACTOR_MAC} dev cable nud permanent",
    )
    # And none by IPv4 here: the sandbox has it, and this kernel must not answer in its place.
    ip(["-n", actor], "link set eth0 addrgenmode none", "link set eth0 up")


def device(pair: Pair) -> int:
    """A packet socket at the actor's end of the cable, for its sandbox. Raises OSError."""
    with netns.inside(str(pair.actor_path)):
        made = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    try:
        made.bind(("eth0", _ETH_P_ALL))
        # Whole segments cross the cable unsplit, and without sums over what cannot be damaged.
        made.setsockopt(_SOL_PACKET, _PACKET_VNET_HDR, 1)
        for option in (_SO_SNDBUFFORCE, _SO_RCVBUFFORCE):
            made.setsockopt(socket.SOL_SOCKET, option, _BUFFER_BYTES)
    except BaseException:
        made.close()
        raise
    return made.detach()


def settings(*, is_restore: bool) -> dict[str, Any]:
    """What a sandbox is told of its network; `device` goes with it."""
    return {
        "LoopbackLinks": [
            {
                "Name": "lo",
                "Addresses": [
                    {"Address": "127.0.0.1", "PrefixLen": 8},
                    {"Address": "::1", "PrefixLen": 128},
                ],
                "Routes": [_route("127.0.0.0", 8), _route("::1", 128)],
            }
        ],
        "FDBasedLinks": [
            {
                "Name": "eth0",
                "MTU": 1500,
                "Addresses": [{"Address": ACTOR, "PrefixLen": _PREFIX}],
                "Routes": [_route(WORKER, _PREFIX)],
                "GSOMaxSize": 65_536,
                "RXChecksumOffload": True,
                "LinkAddress": _base64(bytes.fromhex(_ACTOR_MAC.replace(":", ""))),
                "QDisc": 1,
                "Neighbors": [
                    {
                        "IP": WORKER,
                        "HardwareAddr": _base64(bytes.fromhex(_WORKER_MAC.replace(":", ""))),
                    }
                ],
                "NumChannels": 1,
            }
        ],
        # Where everything else goes: nobody there sends it on, but the egress proxy may answer.
        "Defaultv4Gateway": {"Name": "eth0", "Route": {**_route("0.0.0.0", 0), "Gateway": WORKER}},
        "IsRestore": is_restore,
    }


def _route(address: str, prefix: int) -> dict[str, Any]:
    network = ipaddress.ip_network(f"{address}/{prefix}", strict=False)
    return {
        "Destination": {
            "IP": str(network.network_address),
            "Mask": _base64(network.netmask.packed),
        }
    }


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def inode(pair: Pair) -> int:
    """Of the worker's side. Raises OSError when it is gone."""
    return os.stat(pair.worker_path).st_ino


def remove(pair: Pair) -> None:
    """Whatever there is of it; nothing is no error. Raises RuntimeFailure. Blocks."""
    for path in (pair.worker_path, pair.actor_path):
        if path.exists():
            with contextlib.suppress(RuntimeFailure):
                ip([], f"netns del {path.name}")
    left = [path.name for path in (pair.worker_path, pair.actor_path) if path.exists()]
    if left:
        raise RuntimeFailure(f"network namespaces {left} cannot be removed", retryable=True)


def names(prefix: str) -> list[str]:
    """Pairs whose name begins so, half made ones too."""
    if not _NAMES.is_dir():
        return []
    found = {path.name[:-2] for path in _NAMES.iterdir() if path.name.startswith(prefix)}
    return sorted(found)


def ip(options: list[str], *lines: str) -> None:
    try:
        done = subprocess.run(
            ["ip", *options, "-batch", "-"],
            input="\n".join(lines) + "\n",
            capture_output=True,
            text=True,
            timeout=_LIMIT_S,
        )
    except FileNotFoundError as error:
        raise RuntimeFailure("no `ip`: install the package iproute2") from error
    except subprocess.TimeoutExpired as error:
        raise RuntimeFailure("`ip` did not end in time", retryable=True) from error
    if done.returncode != 0:
        raise RuntimeFailure(f"ip: {done.stderr.strip()[:300]}", retryable=True)
