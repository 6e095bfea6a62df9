"""Odd messages as data: what attackers, old clients and careless servers send, by family."""

from dataclasses import dataclass

HOST = b"Host: a1.demo.actors.localhost\r\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """Bytes that one side sends, and what the strict reading of them comes to."""

    family: str
    name: str
    data: bytes
    passes: int | None
    """How many requests of it go on to the actor (0: the first is refused). Of an answer 1: the
    client gets it whole, 0: it gets ours, or sees a broken one. None: either is right."""
    status: int = 400
    """Of our answer, where it is refused."""
    method: bytes = b"GET"
    """Of an answer only: what it is the answer to."""

    def __str__(self) -> str:
        return f"{self.family}/{self.name}"


def unique(cases: list[Case]) -> tuple[Case, ...]:
    """Fails on two of one name, so that a table can be read."""
    names = [str(case) for case in cases]
    double = {name for name in names if names.count(name) > 1}
    if double:
        raise ValueError(f"two cases are called {sorted(double)[0]}")
    return tuple(cases)
