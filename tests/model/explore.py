"""Breadth-first search over all states: every promise in each of them, and from each a way on."""

import time
from collections import deque
from dataclasses import dataclass

from tests.model.calls import Rules
from tests.model.state import Violation, canonical, initial
from tests.model.world import check, is_claimable, successors


@dataclass(frozen=True, slots=True, kw_only=True)
class Explored:
    states: int
    steps: int
    took_s: float
    violation: str = ""
    trace: tuple[str, ...] = ()
    stuck: int = 0
    """States from which, without a further fault, nobody ever serves or may claim."""
    places: frozenset[str] = frozenset()
    """Awaits that some residence stood before."""
    is_whole: bool = True

    def __str__(self) -> str:
        told = f"{self.states} states, {self.steps} steps, {self.took_s:.1f} s"
        if self.violation:
            told += f"; {self.violation} after {len(self.trace)}"
        return told if self.is_whole else told + " (not all)"


def explore(rules: Rules, *, most: int = 10_000_000) -> Explored:
    """The shortest way to a broken promise, or the size of a world that has none."""
    began = time.monotonic()
    first = canonical(initial(rules.gateways))
    number = {first: 0}
    parent: list[tuple[int, str]] = [(-1, "")]
    before: list[list[int]] = [[]]
    good: list[bool] = [is_claimable(first)]
    queue = deque([first])
    places: set[str] = set()
    steps = 0

    def result(violation: str = "", trace: tuple[str, ...] = (), stuck: int = 0) -> Explored:
        return Explored(
            states=len(number),
            steps=steps,
            took_s=time.monotonic() - began,
            violation=violation,
            trace=trace,
            stuck=stuck,
            places=frozenset(places),
            is_whole=not queue or bool(violation),
        )

    while queue and len(number) < most:
        state = queue.popleft()
        here = number[state]
        label = "a step"
        try:
            for label, following in successors(rules, state):  # told if it breaks
                steps += 1
                after = canonical(following)
                there = number.get(after)
                if there is None:
                    there = number[after] = len(parent)
                    parent.append((here, label))
                    before.append([])
                    good.append(is_claimable(after))
                    places.update(w.at for w in after.workers)
                    check(rules, after)
                    queue.append(after)
                if not label.startswith("!") and "starts again" not in label:
                    before[there].append(here)
        except Violation as found:
            return result(str(found), (*_trace(parent, here), label))
    if queue:
        return result()
    stuck = _stuck(before, good)
    if stuck:
        return result("P3: no way on", _trace(parent, stuck[0]), len(stuck))
    return result()


def _trace(parent: list[tuple[int, str]], at: int) -> tuple[str, ...]:
    steps = []
    while at > 0:
        at, label = parent[at]
        steps.append(label)
    return tuple(reversed(steps))


def _stuck(before: list[list[int]], good: list[bool]) -> list[int]:
    """States from which no good one is reached. A worker that died need not come back for it."""
    reached = good.copy()
    queue = deque(n for n, is_good in enumerate(good) if is_good)
    while queue:
        for n in before[queue.popleft()]:
            if not reached[n]:
                reached[n] = True
                queue.append(n)
    return [n for n, is_reached in enumerate(reached) if not is_reached]
