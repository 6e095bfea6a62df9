"""Probes of a running program, so that one that hangs is noticed without a request. What is seen is
judged in `health`; what follows is a step of the actor's life."""

import asyncio
import logging
import random

from lifecycle.host.health import Health, Pulse, look
from lifecycle.host.readiness import probe
from lifecycle.host.residence import Phase, Residence

log = logging.getLogger(__name__)


async def watch_health(r: Residence) -> None:
    """Until cancelled. A frozen program, or one at a standstill of ours, is not asked."""
    every_s = r.kit.settings.probe_every_s
    pulse = Pulse(now=0.0)
    while r.handle is not None:
        await asyncio.sleep(every_s * random.uniform(0.7, 1.0))  # not all actors at once
        if r.phase is not Phase.RUNNING or not r.gate.is_open or r.handle is None:
            pulse, r.health = Pulse(now=0.0), Health.WELL
            continue
        pulse = await _asked(r, pulse)
        seen = look(pulse, r.kit.settings.patience)
        if seen is not r.health and seen is not Health.WELL:
            log.warning("actor does not answer", extra={"actor": str(r.actor), "health": str(seen)})
        r.health = seen
        if seen is Health.HUNG:
            r.stir()
            return


async def _asked(r: Residence, before: Pulse) -> Pulse:
    assert r.handle is not None
    began = r.clock()
    said = await probe(r.template, dict(r.handle.endpoints))
    if not said or not r.gate.is_open:
        return Pulse(now=r.clock())  # well, or at a standstill of ours by now
    return Pulse(
        now=r.clock(),
        failures=before.failures + 1,
        failing_since=before.failing_since if before.failures else began,
        unanswered=r.gate.unanswered,
        is_computing=await r.uses_cpu(),
    )
