"""The roles: which parts each of them runs, what it says when it is up, and in what order it stops.

`up` is all of them in one process with a private server; nothing in it exists for that case alone.
"""

import asyncio
import contextlib
import logging
import os
import sys
from collections.abc import Coroutine, Iterable, Iterator
from pathlib import Path
from typing import Any

import gateway
from gateway import places
from gateway.settings import BadSettings, Settings
from gateway.telemetry import Telemetry
from gateway.wiring.backbone import Keys, Part, backbone
from gateway.wiring.gateway import ControlPart, EdgePart
from gateway.wiring.logging import set_up
from gateway.wiring.processes import EdgeProcesses
from gateway.wiring.running import new_loop, run_until_stopped
from gateway.wiring.worker import WorkerPart, open_vault, worker_part
from lifecycle import failpoints
from lifecycle.host.places import DirectoryInUse
from lifecycle.trust import Address
from lifecycle.wake import Waker
from placement.errors import PlacementError, ServerFailed
from placement.server import PrivateServer

log = logging.getLogger(__name__)

_SAVE_S = 60.0
"""After the drain's grace: how long the snapshots themselves may take."""
_SETTLE_S = 1.0
"""For the door's last answers, once no actor is left."""
EXAMPLES = Path(gateway.__file__).resolve().parent.parent / "examples"


_TOLD = (BadSettings, DirectoryInUse, PlacementError, OSError)
"""What a person can do something about: one line each, no traceback."""


def run_up(settings: Settings, *, demo: bool = False, once: bool = False) -> int:
    log_file = settings.data_dir / "rouse.log" if demo else None
    return _run(settings, _up(settings, demo=demo, once=once), log_file)


def run_gateway(settings: Settings) -> int:
    return _run(settings, _gateway(settings))


def run_worker(settings: Settings) -> int:
    return _run(settings, _worker(settings))


def _run(settings: Settings, role: Coroutine[Any, Any, int], log_file: Path | None = None) -> int:
    try:
        settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        set_up(settings.log, log_file)
        if directory := os.environ.get("ROUSE_FAILPOINTS"):
            log.warning("failpoints are armed: this process is there to be killed")
            failpoints.arm(Path(directory))
        with asyncio.Runner(loop_factory=new_loop()) as runner:
            return int(runner.run(role))
    except _TOLD as error:
        return _tell(settings, [error])
    except BaseExceptionGroup as group:
        # Of a part that broke: wrapped once for each TaskGroup on the way.
        told, rest = group.split(_TOLD)
        if told is None or rest is not None:
            raise
        return _tell(settings, _leaves(told))
    except (KeyboardInterrupt, asyncio.CancelledError):
        # A second signal: what was not saved is saved by the next start (host.recovering).
        print(f"rouse {settings.role}: stopped at once", file=sys.stderr)  # noqa: T201
        return 130
    finally:
        role.close()  # of one that was never begun; else it does nothing


def _tell(settings: Settings, errors: Iterable[BaseException]) -> int:
    for error in errors:
        print(f"rouse {settings.role}: {error}", file=sys.stderr)  # noqa: T201
    return 1


def _leaves(group: BaseExceptionGroup[BaseException]) -> Iterator[BaseException]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _leaves(error)
        else:
            yield error


# The roles ----------------------------------------------------------------------------------


async def _up(settings: Settings, *, demo: bool, once: bool) -> int:
    result = 0
    async with contextlib.AsyncExitStack() as stack:
        url, parts = await _table(settings, stack)
        spine = await stack.enter_async_context(backbone(settings, url, _keys(settings)))
        worker = await stack.enter_async_context(worker_part(settings, spine))
        edge = EdgePart(settings, spine, worker)
        telemetry = Telemetry()
        telemetry.add(worker.read)
        telemetry.add(edge.read)
        others = EdgeProcesses(settings, url)
        telemetry.add(others.read)
        control = ControlPart(settings, spine, edge.waker, worker.vault, telemetry)
        await stack.enter_async_context(control)
        stop = asyncio.Event()

        async def come_up() -> None:
            nonlocal result
            await worker.host.registered.wait()
            at = await edge.listen(shared=others.count > 0)
            if worker.egress is not None and not settings.edge.tls.is_on:
                worker.egress.siblings.gateway = (_reached(at.host), at.port)
            others.begin(at)
            admin_url = _url(control.at)
            _leave_admin_url(settings, admin_url, stack)
            control.not_ready = None
            _say_up(settings, at, control.at)
            if demo:
                result = await _tour(at, admin_url, once=once)
                if once or result:
                    stop.set()

        async def drain() -> None:
            control.not_ready = "stopping"
            others.end()
            await edge.drain(settings.drain_grace_s)
            await others.gone(settings.drain_grace_s)
            await _drain_worker(settings, worker)

        parts += [*spine.parts(), *worker.parts(), *edge.parts(), ("others", others.run)]
        await run_until_stopped(parts, come_up=come_up, stop=stop, drain=drain)
    return result


async def _tour(edge: Address, admin_url: str, *, once: bool) -> int:
    from gateway.tour import tour

    return await tour(_url(edge), admin_url, examples=EXAMPLES, out=sys.stdout, once=once)


async def _worker(settings: Settings) -> int:
    async with contextlib.AsyncExitStack() as stack:
        url, parts = await _table(settings, stack)
        spine = await stack.enter_async_context(backbone(settings, url, _keys(settings)))
        worker = await stack.enter_async_context(worker_part(settings, spine))
        telemetry = Telemetry()
        telemetry.add(worker.read)
        waker = Waker(
            spine.table, spine.templates, spine.roster, spine.worker_at, quotas=spine.quotas
        )
        control = ControlPart(settings, spine, waker, worker.vault, telemetry)
        await stack.enter_async_context(control)

        async def come_up() -> None:
            await worker.host.registered.wait()
            control.not_ready = None
            _say(f"worker {worker.host.worker} is up, admin API: {_url(control.at)}")

        async def drain() -> None:
            control.not_ready = "stopping"
            await _drain_worker(settings, worker)

        parts += [*spine.parts(), *worker.parts(), ("waker", waker.run)]
        await run_until_stopped(parts, come_up=come_up, stop=asyncio.Event(), drain=drain)
    return 0


async def _gateway(settings: Settings) -> int:
    async with contextlib.AsyncExitStack() as stack:
        url, parts = await _table(settings, stack)
        spine = await stack.enter_async_context(backbone(settings, url, _keys(settings)))
        vault = await stack.enter_async_context(open_vault(settings, None))
        edge = EdgePart(settings, spine)
        telemetry = Telemetry()
        telemetry.add(edge.read)
        others = EdgeProcesses(settings, url)
        telemetry.add(others.read)
        control = ControlPart(settings, spine, edge.waker, vault, telemetry)
        await stack.enter_async_context(control)

        async def come_up() -> None:
            at = await edge.listen(shared=others.count > 0)
            others.begin(at)
            control.not_ready = None
            scheme = "https" if settings.edge.tls.is_on else "http"
            _say(f"gateway is up: {scheme}://{at}, admin API: {_url(control.at)}")

        async def drain() -> None:
            control.not_ready = "stopping"
            others.end()
            await edge.drain(settings.drain_grace_s)
            await others.gone(settings.drain_grace_s)

        parts += [*spine.parts(), *edge.parts(), ("others", others.run)]
        await run_until_stopped(parts, come_up=come_up, stop=asyncio.Event(), drain=drain)
    return 0


# Pieces of them -----------------------------------------------------------------------------


async def _table(settings: Settings, stack: contextlib.AsyncExitStack) -> tuple[str, list[Part]]:
    """The table's URL; of a private server, started here, also the part that keeps it running."""
    if settings.redis.url is not None:
        return settings.redis.url, []
    server = PrivateServer(settings.data_dir / "redis")
    try:
        await server.start()
    except ServerFailed:
        await server.stop()
        raise
    stack.push_async_callback(server.stop)
    return server.url, [("private server", server.run)]


def _keys(settings: Settings) -> Keys:
    return Keys.of(settings.shared_key())


async def _drain_worker(settings: Settings, worker: WorkerPart) -> None:
    """Let requests end, suspend every actor, then cut what is left; withdraw."""
    host = worker.host
    try:
        async with asyncio.timeout(settings.drain_grace_s):
            await host.drain()
    except TimeoutError:
        log.warning("drain is over, requests are cut", extra={"count": host.cut()})
        try:
            async with asyncio.timeout(_SAVE_S):
                await host.drain()
        except TimeoutError:
            log.error("actors not saved", extra={"count": len(host.residents)})
    await host.withdraw()
    await worker.relay.drain(_SETTLE_S)


def _url(address: Address) -> str:
    return str(address) if address.is_unix else f"http://{address}"


def _leave_admin_url(settings: Settings, admin_url: str, stack: contextlib.AsyncExitStack) -> None:
    """For commands of the same user on this machine; gone when this process ends."""
    # The default place too: a command in the next terminal knows nothing of --data.
    for directory in {settings.data_dir, places.data_dir(os.environ)}:
        path = places.admin_url_file(directory)
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.write_text(admin_url)
        stack.callback(path.unlink, missing_ok=True)


def _say_up(settings: Settings, edge: Address, admin: Address) -> None:
    base = settings.edge.base_domains[0]
    taken = _moved(settings.edge.listen, edge)
    scheme = "https" if settings.edge.tls.is_on else "http"
    _say(f"rouse is up: {scheme}://<actor>.<namespace>.{base}:{edge.port}/{taken}")
    _say(f"admin API:   {_url(admin)}{_moved(settings.admin.listen, admin)}")
    _say(f"data:        {settings.data_dir}")


def _reached(host: str) -> str:
    """By this machine itself, where it listens for everybody."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)


def _moved(wanted: str, at: Address) -> str:
    address = Address.parse(wanted)
    return f"  ({address} is taken)" if address.port and address != at else ""


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 # what a person who started it must know
