"""The kernel and the first files that every guest boots, as scripts/install-microvm laid them.

Beside each other in the tools' cache, under the mark of the first process's own source: another
version of it is another place, and one that was built from other sources is never booted.
"""

import hashlib
import os
from pathlib import Path
from typing import NamedTuple

SOURCES = Path(__file__).with_name("guest")


class Kernel(NamedTuple):
    image: Path
    first_files: Path
    """The archive with our first process and its drivers."""


def place() -> Path:
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    tools = Path(os.environ.get("ROUSE_TOOLS") or Path(cache, "rouse", "tools"))
    mark = hashlib.blake2b(digest_size=6)
    for source in sorted(SOURCES.glob("*.go")):
        mark.update(source.read_bytes())
    return tools / "microvm" / mark.hexdigest()


def find() -> Kernel | None:
    """None: it was not installed."""
    here = place()
    found = Kernel(here / "vmlinuz", here / "initrd")
    return found if found.image.is_file() and found.first_files.is_file() else None
