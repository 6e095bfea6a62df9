"""What a decision may need before it goes on. It yields one of these and is sent what was found.

So that rules stay rules: whoever runs them does the waiting (`waiting.py`), and `rouse egress
check` runs them without any.
"""

from collections.abc import Awaitable, Callable, Generator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from gateway.egress.ask import Ask
from gateway.egress.config.gate_model import ExtAuthz
from gateway.egress.config.values import Source


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """The request's body, whole: sent as bytes, or None where it is longer than `most`."""

    most: int
    may_be_cut: bool = False
    """Then its first `most` bytes will do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Secrets:
    """These, if they can be had; nothing is sent."""

    sources: tuple[Source, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """Something that takes long to compute, as a password's hash; its result is sent."""

    compute: Callable[[], object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Consult:
    """A service's opinion (`authz.Verdict`)."""

    authz: ExtAuthz
    ask: Ask


Need = Body | Secrets | Work | Consult

Result = TypeVar("Result")
Steps = Generator[Need, Any, Result]
"""What is sent depends on what was yielded."""


class Pending(Generic[Result]):
    """A decision that waits for something."""

    def __init__(self, steps: Steps[Result], need: Need) -> None:
        self._steps = steps
        self._need = need

    def __repr__(self) -> str:
        return f"<Pending {type(self._need).__name__}>"

    async def finish(self, meet: Callable[[Need], Awaitable[object]]) -> Result:
        """Raises what the rules raise, or what `meet` does."""
        need = self._need
        try:
            while True:
                need = self._steps.send(await meet(need))
        except StopIteration as end:
            result: Result = end.value
            return result
        finally:
            self._steps.close()


def begun(steps: Steps[Result]) -> Result | Pending[Result]:
    """As far as it goes without waiting: mostly to its end. Raises what the rules raise."""
    try:
        need = next(steps)
    except StopIteration as end:
        result: Result = end.value
        return result
    return Pending(steps, need)


def run(steps: Steps[Result], meet: Callable[[Need], object]) -> Result:
    """With answers that are known beforehand. Raises what the rules raise."""
    try:
        need = next(steps)
        while True:
            need = steps.send(meet(need))
    except StopIteration as end:
        result: Result = end.value
        return result
