"""A small cluster under load, and what is done to it at a point: who is killed or stopped, what
comes back, and what must hold afterwards."""

import contextlib
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from lifecycle.failpoints import Point
from tests.chaos.referee import Referee
from tests.system.apart import Apart, TableServer, table_server
from tests.system.product import Process, started, template, until
from tests.system.test_kill import SHORT, STUCK_S, TTL_S, Clients, check

ACTORS = 4
REACH_S = 25.0
"""Under load every point is come to well within it."""


class Fault(StrEnum):
    """What happens when a process comes to the point: to it, or to another while it stands there
    (then it goes on)."""

    KILL_IT = "kill it"
    STOP_IT = "stop it"
    """For longer than a lease."""
    KILL_WORKER = "kill a worker"
    KILL_GATEWAY = "kill a gateway"
    KILL_REDIS = "kill redis"
    STALL_REDIS = "stall redis"
    """For longer than a lease."""


_LONG_S = 1.3 * TTL_S
DRAINS = (Point.DRAIN_BEGIN, Point.DRAIN_ONE, Point.DRAIN_WITHDRAW)


@dataclass(slots=True, kw_only=True)
class World:
    table: TableServer
    workers: tuple[Process, Process]
    gateways: tuple[Process, Process]
    referee: Referee
    clients: Clients
    points: Path
    killed: list[float] = field(default_factory=list)
    """When a worker lost what was not saved, or may have."""
    _draining: Process | None = None

    def strike(self, point: Point, fault: Fault) -> float:
        """Until all actors are served again; how long that took, in seconds."""
        armed, hit = self.points / point, self.points / f"{point}.hit"
        armed.write_text("kill" if fault is Fault.KILL_IT else "stop")
        try:
            if point in DRAINS:
                self._draining = self._busiest()
                _signal(self._draining, signal.SIGTERM)
            if point is Point.GATEWAY_RETRY:
                # A route that was good a moment ago leads nowhere.
                self._kill(self._busiest())
            until(f"somebody comes to {point}", hit.exists, REACH_S)
            until("it stands there", lambda: any(map(_stands_or_ended, self._all)))
            struck = time.monotonic()
            self._befall(fault)
            if self._draining is not None and fault is Fault.KILL_IT:
                self._draining = None
            self.killed.append(time.monotonic())
            self._restart()
            self.clients.go_on(STUCK_S)
            return time.monotonic() - struck
        finally:
            armed.unlink(missing_ok=True)
            hit.unlink(missing_ok=True)

    def _befall(self, fault: Fault) -> None:
        """Who came to the point is stopped, or killed already."""
        match fault:
            case Fault.KILL_IT:
                pass
            case Fault.STOP_IT:
                time.sleep(_LONG_S)
            case Fault.KILL_WORKER:
                self._kill(next(each for each in self.workers if _runs(each)))
            case Fault.KILL_GATEWAY:
                self._kill(next(each for each in self.gateways if _runs(each)))
            case Fault.KILL_REDIS:
                self.table.kill()
                self.table.start()
            case Fault.STALL_REDIS:
                self.table.signal(signal.SIGSTOP)
                time.sleep(_LONG_S)
                self.table.signal(signal.SIGCONT)
        for process in self._all:
            if not _has_ended(process):
                _signal(process, signal.SIGCONT)

    @property
    def _all(self) -> tuple[Process, ...]:
        return (*self.workers, *self.gateways)

    def _kill(self, process: Process) -> None:
        process.kill()
        self.killed.append(time.monotonic())

    def _busiest(self) -> Process:
        """A drain of a worker without actors would come to no step."""
        names = [(self.gateways[1].actor(name) or {}).get("worker") for name in self.clients.told]
        return max(self.workers, key=lambda worker: names.count(worker.data.name))

    def _restart(self) -> None:
        """As a supervisor does."""
        for process in (*self.workers, *self.gateways):
            if _has_ended(process):
                process.start().ready()

    def come_back(self) -> None:
        """Whoever drains is waited for, and started again."""
        if self._draining is not None:
            draining, self._draining = self._draining, None
            until("the drain ends", lambda: _has_ended(draining), 60.0)
        self._restart()

    def verdict(self) -> tuple[int, int]:
        """Acknowledged records, and those that a worker's death cost. Fails for any other loss, and
        for two copies that served."""
        assert self.referee.double == []
        clients = self.clients.told.values()
        lost = sum(check(told, self.gateways[1], self.killed) for told in clients)
        return sum(len(told.acked) for told in clients), lost


def _signal(process: Process, number: signal.Signals) -> None:
    assert process.child is not None
    process.child.send_signal(number)


def _has_ended(process: Process) -> bool:
    return process.child is not None and process.child.poll() is not None


def _is_stopped(process: Process) -> bool:
    # After the name, which may hold anything: T is stopped by a signal.
    stat = Path(f"/proc/{process.pid}/stat").read_text()
    return stat.rpartition(")")[2].split()[0] == "T"


def _runs(process: Process) -> bool:
    return not _has_ended(process) and not _is_stopped(process)


def _stands_or_ended(process: Process) -> bool:
    return _has_ended(process) or _is_stopped(process)


@contextlib.contextmanager
def world(root: Path) -> Iterator[World]:
    points = root / "points"
    points.mkdir()
    with table_server() as table, Referee().running() as referee:
        apart = Apart(root, table, **SHORT)
        armed = {"ROUSE_FAILPOINTS": str(points)}
        workers = (apart.worker("w1", **armed), apart.worker("w2", **armed))
        gateways = (apart.gateway("g1", **armed), apart.gateway("g2", **armed))
        with started(*workers, *gateways):
            answer = gateways[0].apply(_document(referee))
            assert answer.status in (200, 201), answer.body
            names = tuple(f"x{n}" for n in range(ACTORS))
            # Half of them run on, so that checkpoints come.
            clients = Clients(gateways, names, frozenset(names[::2]))
            with clients.running():
                clients.go_on(30.0)
                yield World(
                    table=table,
                    workers=workers,
                    gateways=gateways,
                    referee=referee,
                    clients=clients,
                    points=points,
                )


def _document(referee: Referee) -> dict[str, object]:
    return template(
        "records",
        command=[sys.executable, "-S", str(Path(__file__).with_name("actor.py"))],
        env=[{"name": "REFEREE", "value": referee.address}],
        runtime={"class": "process"},
        ports=[{"name": "http", "port": 8080}],
        readiness={"httpGet": {"path": "/", "port": "http"}, "timeout": "20s"},
        durable=["/data"],
        idle={"freezeAfter": "never", "suspendAfter": "never"},
        snapshot={"every": "1s"},
        wake={"timeout": "30s", "queue": 64},
        create={"onRequest": True},
    )
