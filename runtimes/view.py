"""What a sandbox shows of the host, and bwrap's options for it. Only decides."""

import os
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from runtimes.base import RuntimeFailure

SYSTEM = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
"""At the root of the host: links into /usr on merged systems, directories on others."""
ETC = (
    "alternatives",
    "ca-certificates",
    "fonts",
    "host.conf",
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    "localtime",
    "mime.types",
    "nsswitch.conf",
    "pki/ca-trust",
    "pki/tls/certs",
    "protocols",
    "services",
    "ssl/certs",
    "ssl/openssl.cnf",
    "timezone",
)
"""Nothing in here is secret on a sane host: no keys, no accounts, no configuration of services."""
JAVA = "java-*-openjdk"
"""Where Debian keeps what a JVM reads at its start, its defaults of security among it."""
MASKED = ("interrupts", "keys", "latency_stats", "sched_debug")
"""What anybody may read in /proc and what knows no namespaces: descriptions of keys, and how busy
whom keeps the machine. bwrap itself makes what can be written read-only; the rest is root's."""
TEMPORARY_BYTES = 256 << 20
"""Size of /tmp where the template limits no memory: it is memory."""


def system() -> list[str]:
    options = ["--ro-bind", "/usr", "/usr"]
    for name in SYSTEM:
        path = Path("/") / name
        if path.is_symlink():
            options += ["--symlink", os.readlink(path), str(path)]
        elif path.is_dir():
            options += ["--ro-bind", str(path), str(path)]
    for name in (*ETC, *(found.name for found in Path("/etc").glob(JAVA))):
        # Bound through links: what /etc names may stand elsewhere.
        options += ["--ro-bind-try", f"/etc/{name}", f"/etc/{name}"]
    # Where a distribution keeps its programs in a store of its own.
    options += ["--ro-bind-try", "/nix/store", "/nix/store"]
    return options


def image(root: Path) -> list[str]:
    """An unpacked image as the system: each thing at its top by itself, and so in /etc, so that
    what a sandbox mounts beside them finds a place."""
    options: list[str] = []
    for entry in sorted(os.scandir(root), key=lambda entry: entry.name):
        if entry.name == "etc" and entry.is_dir(follow_symlinks=False):
            options += ["--dir", "/etc"]
            for inner in sorted(os.scandir(entry.path), key=lambda inner: inner.name):
                options += _of_image(inner, "/etc", ("group", "hosts", "passwd", "resolv.conf"))
        else:
            options += _of_image(entry, "", ("dev", "proc", "run", "sys", "tmp"))
    return options


def _of_image(entry: os.DirEntry[str], below: str, ours: tuple[str, ...]) -> list[str]:
    place = f"{below}/{entry.name}"
    if entry.name in ours:
        return []
    if entry.is_symlink():
        return ["--symlink", os.readlink(entry.path), place]
    return ["--ro-bind", entry.path, place]


def network_files() -> list[str]:
    """How names are looked up, for a sandbox that shares the host's network."""
    return [
        option
        for path in ("/etc/resolv.conf", "/etc/hosts")
        for option in ("--ro-bind-try", path, path)
    ]


def devices(memory_bytes: int | None) -> list[str]:
    """/proc, a minimal /dev, and the two places where anybody may write, both of bounded size."""
    size = str(min(memory_bytes or TEMPORARY_BYTES, TEMPORARY_BYTES))
    open_to_all = ["--perms", "1777", "--size", size, "--tmpfs"]
    return [
        *("--proc", "/proc", *_masks(), "--dev", "/dev"),
        *(*open_to_all, "/dev/shm"),
        # The rest of /dev is a tmpfs too, without a bound of its own.
        *("--remount-ro", "/dev"),
        *(*open_to_all, "/tmp"),
        *(*open_to_all, "/var/tmp"),
    ]


def _masks() -> list[str]:
    # A device that cannot be opened there: refused, not empty.
    paths = [path for name in MASKED if os.path.exists(path := f"/proc/{name}")]
    return [word for path in paths for word in ("--ro-bind", "/dev/null", path)]


def settings() -> list[str]:
    """The kernel's settings read-only, for who is root outside: to root they are plain files."""
    return ["--ro-bind", "/proc/sys", "/proc/sys"]


def python() -> list[Path]:
    """The Python that runs rouse, wherever it stands: `python3` of a template's command."""
    places = (sys.prefix, sys.base_prefix, os.path.realpath(sys.base_prefix))
    return list(dict.fromkeys(Path(place) for place in places))


class Shown(NamedTuple):
    """A directory of the host that a sandbox sees read-only."""

    real: Path
    place: Path
    """Where it is seen: the path that was asked for, links and all."""
    covered: tuple[Path, ...]
    """What must not be seen in it, as paths below `place`."""


def shown(places: Iterable[Path], hidden: Iterable[Path]) -> list[Shown]:
    """Directories at their own path, outer before inner: a later mount covers an earlier one.

    What is `hidden` in one of them is covered: a working directory above rouse's own data must not
    show one actor the others' files.
    """
    hidden = _outermost(Path(os.path.realpath(place)) for place in hidden)
    found = []
    for place in sorted(dict.fromkeys(places)):
        real = Path(os.path.realpath(place))
        if not real.is_dir():
            raise RuntimeFailure(f"directory {place} is not there")
        for secret in hidden:
            if real.is_relative_to(secret):
                raise RuntimeFailure(f"{place} is in rouse's own data and cannot be shown")
        if real.is_relative_to("/usr") and place.is_relative_to("/usr"):
            continue
        below = [secret.relative_to(real) for secret in hidden if secret.is_relative_to(real)]
        found.append(Shown(real, place, tuple(place / inner for inner in below)))
    return found


def _outermost(places: Iterable[Path]) -> list[Path]:
    """Without those in another one: what covers that covers them, in each copy alike."""
    kept: list[Path] = []
    for place in sorted(set(places)):
        if not any(place.is_relative_to(outer) for outer in kept):
            kept.append(place)
    return kept


def read_only(places: Iterable[Path], hidden: Iterable[Path]) -> list[str]:
    options = []
    for each in shown(places, hidden):
        options += ["--ro-bind", str(each.real), str(each.place)]
        for covered in each.covered:
            options += ["--perms", "0700", "--size", "4096", "--tmpfs", str(covered)]
    return options


def for_actors(places: Iterable[Path]) -> list[str]:
    """Directories of rouse's own that are meant for actors, so never covered."""
    return [option for place in places for option in ("--ro-bind", str(place), str(place))]


def durable(directories: Mapping[str, Path]) -> list[str]:
    return [
        option
        for declared, host in directories.items()
        for option in ("--bind", str(host), declared)
    ]
