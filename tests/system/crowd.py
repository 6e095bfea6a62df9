"""Many actors used in turn on few slots: each visit is a request of some kind that wakes its actor,
and a look at its counters, which tells what the sleep kept. Every answer is checked."""

import concurrent.futures
import hashlib
import itertools
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.system.product import Answer, Process

BODY = hashlib.shake_256(b"crowd").digest(30_000)


@dataclass(slots=True, kw_only=True)
class Crowd:
    """Counters by name. `keeps_memory`: a sleep must not have begun their memory anew."""

    gateways: Sequence[Process]
    names: Sequence[str]
    ns: str = "demo"
    keeps_memory: bool = False
    visits: dict[str, int] = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)
    cold_ms: list[float] = field(default_factory=list)
    """From the request to the whole answer, where the actor had to be woken."""
    requests: int = 0

    def go_round(self, callers: int) -> None:
        """Each of them once, so many at a time."""
        with concurrent.futures.ThreadPoolExecutor(callers) as pool:
            turns = zip(itertools.count(), self.names, strict=False)
            for complaint in pool.map(lambda turn: self._visit(*turn), turns):
                if complaint is not None:
                    self.failed.append(complaint)

    def _visit(self, number: int, name: str) -> str | None:
        """What was wrong with it."""
        visit = self.visits[name] = self.visits.get(name, 0) + 1
        gateway = self.gateways[number % len(self.gateways)]
        try:
            began = time.monotonic()
            first = self._first(gateway, name, number + visit, visit)
            if first.headers.get("rouse-wake", "").startswith("cold"):
                self.cold_ms.append((time.monotonic() - began) * 1000)
            told = gateway.get(name, ns=self.ns).json()
            assert told["file"] == visit, f"{told} at visit {visit}"
            assert not self.keeps_memory or told["ram"] == visit, f"{told} at visit {visit}"
        except (OSError, AssertionError, KeyError, ValueError) as error:
            return f"{name}, visit {visit}: {error!r}"
        self.requests += 2
        return None

    def _first(self, gateway: Process, name: str, kind: int, visit: int) -> Answer:
        text = f"{name}-{visit}".encode()
        send = gateway.send
        match kind % 5:
            case 0:
                answer = gateway.get(name, "/peek", ns=self.ns)
                assert answer.status == 200 and answer.json()["file"] == visit - 1, answer
            case 1:
                answer = send("POST", name, "/records", ns=self.ns, body=text)
                assert answer.status == 201, answer
            case 2:
                answer = send("POST", name, "/echo", ns=self.ns, body=BODY)
                assert answer.status == 200 and answer.body == BODY, answer.status
            case 3:
                answer = gateway.get(name, "/events?n=3&every=0.01", ns=self.ns)
                assert answer.status == 200 and answer.body.count(b"data:") == 3, answer
            case _:
                answer = send("PUT", name, "/files/note", ns=self.ns, body=text)
                assert answer.status in (200, 201, 204), answer
                read = gateway.get(name, "/files/note", ns=self.ns)
                assert read.body == text, read
        return answer
