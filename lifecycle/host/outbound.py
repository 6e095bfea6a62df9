"""The way out of one copy of an actor, as the host gives it to whatever carries its calls (the
egress proxy): who it is, whether it is still here, and that an open call keeps it awake (P5)."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from placement.model import ActorId
from runtimes.base import Handle

if TYPE_CHECKING:
    from lifecycle.host.residence import Residence


class Outfit:
    """What a program gets to find its way out."""

    __slots__ = ("env", "shown")

    def __init__(self, env: Mapping[str, str], shown: tuple[Path, ...]) -> None:
        self.env = env
        self.shown = shown
        """Directories that it may read."""


class Outbound(Protocol):
    """A line is opened before its program starts, led when the sandbox is there (again, too, when
    a restarted worker adopts it), and closed before the sandbox ends; closed twice is once."""

    def open(self, line: "Line", *, near: str, ports: frozenset[int]) -> Outfit:
        """`near`: in a network of its own, where the program reaches what listens on the worker's
        side of it (Capabilities.near); empty where it shares the worker's."""
        ...

    async def lead(self, line: "Line", handle: Handle) -> None:
        """Raises OSError when the sandbox is gone."""
        ...

    def close(self, slug: str) -> None: ...


class Line:
    """One copy's. Everything it answers is what the host knows at this moment."""

    __slots__ = ("_residence", "epoch", "slug")

    def __init__(self, residence: "Residence", slug: str, epoch: int) -> None:
        self._residence = residence
        self.slug = slug
        self.epoch = epoch
        """As the copy was started: a copy that is owned again keeps its slug."""

    def __repr__(self) -> str:
        return f"<Line of {self.slug}>"

    @property
    def actor(self) -> ActorId:
        return self._residence.actor

    @property
    def uid(self) -> str:
        return self._residence.record.uid

    @property
    def template(self) -> str:
        return self._residence.record.template

    @property
    def policy(self) -> str:
        return self._residence.template.egress_policy

    def is_here(self) -> bool:
        return self._residence.may_call()

    def begin_call(self) -> None:
        self._residence.gate.begin_call()

    def end_call(self) -> None:
        self._residence.gate.end_call()

    def touch(self) -> None:
        self._residence.gate.touch()

    def on_cut(self, cut: "CutCalls") -> None:
        self._residence.gate.cut_calls = cut


class CutCalls(Protocol):
    def __call__(self) -> None:
        """End its open calls now; `end_call` is called for each of them."""
        ...
