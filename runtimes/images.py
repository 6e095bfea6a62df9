"""The files of a gVisor image, and the calls that write and read them. Blocks; files are small
numbers of descriptors, never contents: the sandbox itself reads and writes those."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from runtimes.base import RuntimeFailure

STATE = "checkpoint.img"
PAGES_INDEX = "pages_meta.img"
PAGES = "pages.img"
"""Memory, page by page: the bulk of it, and what is alike between two images of an actor."""
FILES = (STATE, PAGES_INDEX, PAGES)
"""In the order in which the sandbox wants them."""

SAVE: dict[str, Any] = {
    # Uncompressed: pages stay pages, and a restore may go on reading while the program runs.
    "metadata": {"compression": "none"},
    "app_mf_exclude_committed_zero_pages": True,
    "have_pages_file": True,
    "Resume": True,
}
LOAD: dict[str, Any] = {"HavePagesFile": True, "Background": True}


@contextmanager
def fresh(directory: Path) -> Iterator[list[int]]:
    """Empty files of a new image, open to be written."""
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    files: list[int] = []
    try:
        files += [os.open(directory / name, flags, 0o600) for name in FILES]
        yield files
    finally:
        for file in files:
            os.close(file)


@contextmanager
def opened(directory: Path) -> Iterator[list[int]]:
    """Files of an image, open to be read. Raises RuntimeFailure when they are not all there."""
    files: list[int] = []
    try:
        for name in FILES:
            try:
                files.append(os.open(directory / name, os.O_RDONLY | os.O_CLOEXEC))
            except OSError as error:
                raise RuntimeFailure(
                    f"the image's {name} cannot be read: {error.strerror}"
                ) from error
        yield files
    finally:
        for file in files:
            os.close(file)
