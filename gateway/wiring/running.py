"""Run the parts of a process until a signal, then stop them in order.

Two lifetimes: first the process stops taking work and ends what it has (drain), and only then what
that work stands on (table, store, server) is stopped.
"""

import asyncio
import gc
import logging
import signal
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any

from gateway.wiring.backbone import Part

log = logging.getLogger(__name__)

_ONE_WISH_S = 1.0
"""Signals so soon after the first are the same wish: make, timeout and shells pass on what the
terminal has sent to the whole group already."""


class PartEnded(Exception):
    """A part that runs for ever returned: the process is broken and ends."""


def new_loop() -> Any:  # Any: uvloop publishes no precise factory type
    """The loop factory of a process: uvloop where there is one; the stock loop does the same."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


async def run_until_stopped(
    parts: Sequence[Part],
    *,
    come_up: Callable[[], Coroutine[Any, Any, None]],
    stop: asyncio.Event,
    drain: Callable[[], Awaitable[None]],
    is_child: bool = False,
) -> None:
    """Returns after the drain, once `stop` is set or a signal came; a second signal cancels.
    A child of ours is told to stop by its parent, and by a terminal's Ctrl-C that is meant for the
    parent: it stops once, in its own time.

    `come_up` runs beside the parts and may end. Raises an ExceptionGroup when a part breaks.
    """
    _spare_the_collector()
    async with asyncio.TaskGroup() as group:
        running = [group.create_task(_endless(part, stop), name=part[0]) for part in parts]
        running.append(group.create_task(come_up(), name="come up"))
        _stop_on_signals(stop, is_child=is_child)
        try:
            await stop.wait()
            await drain()
        finally:
            for task in running:
                task.cancel()


def _spare_the_collector() -> None:
    """Our own requests leave no cycles. What the process is made of is not looked through again,
    and what is made later (routes, connections) less often: each full look stops every request."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


async def _endless(part: Part, stop: asyncio.Event) -> None:
    name, run = part
    await run()
    if not stop.is_set():  # drained parts end by themselves
        raise PartEnded(f"{name} ended by itself")


def _stop_on_signals(stop: asyncio.Event, *, is_child: bool) -> None:
    """The first SIGTERM or SIGINT stops in order; a second one does not wait for it."""
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()
    assert task is not None

    first = 0.0

    def asked(name: str) -> None:
        nonlocal first
        if not stop.is_set():
            first = loop.time()
            log.info("stopping", extra={"signal": name})
            stop.set()
        elif not is_child and loop.time() - first > _ONE_WISH_S:
            log.warning("stopping at once", extra={"signal": name})
            task.cancel()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, asked, signal.Signals(number).name)
