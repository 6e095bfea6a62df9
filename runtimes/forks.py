"""Sandboxes of bwrap that a zygote's child enters, and the one that the zygote itself is in.

Both are a plain start's, option by option: what holds there holds here. They differ in this:

- the zygote shares the host's process ids, since a process can only enter process namespaces below
  its own, and the actors' must outlive it. So it has no /proc but a few files about the machine.
- an actor's sandbox stands in a user namespace of its own (enclosures) without the host's ids, so
  bwrap could not walk to directories in a home that is closed to others: it gets them opened.
- its first program only waits (`sleep`); the actor's process comes in beside it.
"""

import os
import select
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from io import FileIO
from pathlib import Path, PurePath

from runtimes import bwrap, cradle, enclosures
from runtimes.base import RuntimeFailure
from runtimes.enclosures import Enclosures
from runtimes.procfs import Pid
from runtimes.userns import UserNamespace

CRADLE = "/run/cradle.py"
HOLD = ("sleep", "infinity")
OF_THE_MACHINE = ("cpuinfo", "meminfo", "stat", "filesystems", "version")
"""Of /proc: what libraries look for as they are imported."""
_BINDS = ("--bind", "--ro-bind")
_OPEN_TO_ALL = ("/usr/", "/bin/", "/sbin/", "/lib", "/nix/store/")


def parent_options(options: Sequence[str]) -> list[str]:
    """A plain start's options, as they are for a zygote."""
    found = [option for option in options if option != "--unshare-pid"]
    at = found.index("--proc")
    files = ["--dir", "/proc"]
    for name in OF_THE_MACHINE:
        files += ["--ro-bind-try", f"/proc/{name}", f"/proc/{name}"]
    return [
        *found[:at],
        *files,
        *found[at + 2 :],
        *("--ro-bind", cradle.__file__, CRADLE),
    ]


def child_options(options: Sequence[str]) -> tuple[list[str], list[str]]:
    """A plain start's options, as they are where bwrap is nobody; and the directories that must be
    shown to it elsewhere, since it could not walk there."""
    found, shown = list(options), list[str]()
    for name in ("--uid", "--gid", "--chdir"):
        at = found.index(name)
        del found[at : at + 2]
    made: list[str] = []
    while found:
        option = found.pop(0)
        if option == "--perms" and found[0] == "0700":
            # What covers others' files is its maker's, who is not the actor here: it sees nothing
            # in it, as in a plain start, and cannot even write there.
            found[0] = "0755"
        if option not in _BINDS or f"{found[0]}/".startswith(_OPEN_TO_ALL):
            made.append(option)
            continue
        # bwrap would make the places on the way for its own user alone.
        for above in reversed(PurePath(found[1]).parents[:-1]):
            made += ["--perms", "0755", "--dir", str(above)]
        made += [option, enclosures.at(len(shown))]
        shown.append(found.pop(0))
    return made, shown


class Forks:
    """Makes sandboxes for children of zygotes. Blocks; any thread."""

    def __init__(self, users: UserNamespace) -> None:
        self._enclosures = Enclosures(users)

    def enclose(
        self,
        binary: Path,
        options: Sequence[str],
        *,
        owner: int,
        user: int,
        account: str,
        output: int,
        began: Callable[[Pid], None],
    ) -> Pid:
        """The sandbox's process 1, when it stands. Raises RuntimeFailure."""
        with ExitStack() as stack:
            words, shown = child_options(options)
            reading, writing = os.pipe()
            stands = stack.enter_context(FileIO(reading, "rb"))
            # What bwrap is to wait for last of all cannot be waited for, and is closed by it then.
            said = stack.enter_context(FileIO(writing, "wb"))
            _, inner = bwrap.launch(
                binary,
                [*words, "--block-fd", str(said.fileno())],
                HOLD,
                env={},
                account=account,
                user_namespace=None,
                output=output,
                began=began,
                at_gate=lambda pid: None,
                keep=(said.fileno(),),
                begin=lambda line, keep: self._enclosures.spawn(
                    line, owner=owner, user=user, output=output, keep=keep, shown=shown
                ),
            )
            said.close()
            _wait_closed(stands)
        return inner


def _wait_closed(end: FileIO) -> None:
    ended = select.poll()
    ended.register(end, select.POLLIN)
    if not ended.poll(bwrap.SETUP_WAIT_S * 1000):
        raise RuntimeFailure("a sandbox for a fork does not come to be", retryable=True)
