"""The root that every gVisor actor of a worker sees: made once, only read, shared by all.

Links into /usr where the host has them, copies of what is not secret in /etc, and empty places. The
host's /usr and further directories are mounted on it by each sandbox.
"""

import hashlib
import os
import secrets
import shutil
import sys
from contextlib import suppress
from pathlib import Path

from runtimes.netpair import WORKER
from runtimes.view import ETC, SYSTEM

USER = 1000
"""Every actor's, inside: apart from the host's users by gVisor, from each other by their mounts."""
_PLACES = ("dev", "etc", "home", "proc", "root", "run", "sys", "tmp", "usr", "var/tmp")
_ACCOUNTS = f"root:x:0:0:root:/root:/bin/sh\nactor:x:{USER}:{USER}:actor:/tmp:/bin/sh\n"
_GROUPS = f"root:x:0:\nactor:x:{USER}:\n"
_RESOLVER = f"nameserver {WORKER}\noptions timeout:2 attempts:2\n"
"""The egress proxy's, where there is one."""
_HOSTS = "127.0.0.1 localhost\n::1 localhost\n127.0.1.1 actor\n"


def make(place: Path) -> None:
    """Make it, unless it is there: sandboxes of an earlier worker may still be reading it. Several
    may try at once; it is there whole or not at all. Blocks."""
    if place.is_dir():
        return
    made = place.with_name(f".{place.name}-{secrets.token_hex(4)}")
    try:
        for name in _PLACES:
            (made / name).mkdir(parents=True, mode=0o755)
        for name in SYSTEM:
            host = Path("/", name)
            if host.is_symlink():
                (made / name).symlink_to(os.readlink(host))
        for name in ETC:
            _copy(Path("/etc", name), made / "etc" / name)
        (made / "etc" / "passwd").write_text(_ACCOUNTS)
        (made / "etc" / "group").write_text(_GROUPS)
        (made / "etc" / "hosts").write_text(_HOSTS)
        (made / "etc" / "resolv.conf").write_text(_RESOLVER)
        with suppress(OSError):  # another was first
            made.rename(place)
        if not place.is_dir():
            raise OSError(f"{place} cannot be made")
    finally:
        shutil.rmtree(made, ignore_errors=True)


def links() -> dict[str, str]:
    """Of the host's root, into its /usr: place -> target."""
    found = {f"/{name}": Path("/", name) for name in SYSTEM}
    return {place: os.readlink(path) for place, path in found.items() if path.is_symlink()}


def system() -> str:
    """What the host's /usr is: an image holds files of it open, and maps its libraries."""
    try:
        told = Path("/etc/os-release").read_bytes()
    except OSError:
        told = b""
    return digest(told + sys.version.encode() + sys.prefix.encode())


def digest(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=8).hexdigest()


def directories() -> list[Path]:
    """Of the host, to be mounted on it: /usr, and what a system has beside it."""
    beside = [Path("/", name) for name in SYSTEM]
    own = [path for path in beside if path.is_dir() and not path.is_symlink()]
    store = Path("/nix/store")
    return [Path("/usr"), *own, *([store] if store.is_dir() else [])]


def _copy(host: Path, place: Path) -> None:
    # Through links: what /etc names may stand elsewhere. A file that cannot be read is left out.
    place.parent.mkdir(parents=True, exist_ok=True)
    with suppress(OSError, shutil.Error):
        if host.is_dir():
            shutil.copytree(host, place, symlinks=True, ignore_dangling_symlinks=True)
        elif host.is_file():
            shutil.copy2(host, place)
