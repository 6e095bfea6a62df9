"""Load whose every answer is checked: threads post numbered records, each to its own actor."""

import concurrent.futures
import contextlib
import itertools
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from tests.system.product import Process, until


@dataclass(slots=True, kw_only=True)
class Load:
    """One thread per name; a request that fails and is not forgiven is kept."""

    gateways: tuple[Process, ...]
    names: tuple[str, ...]
    forgives: Callable[[Exception], bool] = lambda _: False
    acked: dict[str, list[str]] = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)

    @contextlib.contextmanager
    def running(self) -> Iterator["Load"]:
        with concurrent.futures.ThreadPoolExecutor(len(self.names)) as pool:
            ended = [pool.submit(self._one, name) for name in self.names]
            try:
                yield self
            finally:
                self._stop.set()
            for each in ended:
                each.result()

    def _one(self, name: str) -> None:
        mine = self.acked.setdefault(name, [])
        for number in itertools.count():
            if self._stop.is_set():
                return
            gateway = self.gateways[number % len(self.gateways)]
            text = f"{name}-{number}"
            try:
                answer = gateway.send("POST", name, "/records", body=text.encode())
            except Exception as error:  # noqa: BLE001 # told in `failed` unless it was expected
                if not self.forgives(error):
                    self.failed.append(f"{text}: {error!r}")
                continue
            if answer.status == 201:
                mine.append(text)
            else:
                self.failed.append(f"{text}: {answer.status} {answer.body[:200]!r}")

    def goes_on(self) -> None:
        """Every thread has had some more answers."""
        seen = {name: len(self.acked.get(name, ())) for name in self.names}
        until(
            f"all go on; failed: {self.failed}",
            lambda: all(len(self.acked.get(n, ())) > seen[n] + 2 for n in self.names),
        )

    def check(self, gateway: Process) -> None:
        assert self.failed == []
        for name in self.names:
            kept = gateway.get(name, "/records").body.decode().split()
            assert kept == self.acked[name]


def names_of(prefix: str, count: int) -> tuple[str, ...]:
    return tuple(f"{prefix}{n}" for n in range(count))
