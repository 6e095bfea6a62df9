"""The seam to a virtual machine monitor: what the `microvm` class asks of QEMU or Firecracker."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from runtimes.kernel import Kernel
from runtimes.procfs import Pid
from runtimes.tap import Tap

STATE, MEMORY = "state", "memory"
"""The files of an image: devices and processor, and the guest's memory as it lies, page by page."""
COMMAND_LINE = "quiet panic=-1 reboot=t init_on_free=1"
"""Of the guest's kernel. Freed pages are zeroed: what nobody uses is not in an image."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Guest:
    """What is to run in a room."""

    kernel: Kernel
    memory_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """What one machine has on this one. Found again by its seat's name alone."""

    run: Path
    """Directory for its sockets: a short path, which others may pass through."""
    name: str
    """For the command line: by it a person finds out whose machine it is."""
    memory_file: Path
    tap: Tap
    user: int
    """Whom the monitor runs as."""


Launch = Callable[[Sequence[str], Sequence[int], Path | None], Awaitable[Pid]]
"""Start the monitor within its limits and its network: command, descriptors it inherits, and a file
that is copied to the room's memory file before."""


class Vmm(Protocol):
    """One monitor program. Raises RuntimeFailure."""

    @property
    def name(self) -> str: ...

    @property
    def is_emulated(self) -> bool:
        """Not run by the processor itself, so many times slower. Valid after `lacks`."""
        ...

    def lacks(self) -> str:
        """Why it cannot be tried here; empty when it can. Blocks."""
        ...

    def terms(self) -> Mapping[str, tuple[str, ...]]:
        """What an image needs of it elsewhere. Valid after `lacks`."""
        ...

    def keeps(self) -> str:
        """What holds a guest, in words."""
        ...

    async def begin(self, room: Room, guest: Guest, launch: Launch, image: Path | None) -> Pid:
        """Its process: with a guest that boots, or one that stands still as in the image."""
        ...

    async def pause(self, room: Room) -> None:
        """The guest stands still. Done twice is done once."""
        ...

    async def resume(self, room: Room) -> None:
        """The guest goes on. Done twice is done once."""
        ...

    async def save(self, room: Room, into: Path) -> None:
        """Write STATE and MEMORY of a guest that stands still."""
        ...
