"""Leases: a worker's right to serve, which ends by itself, and the list of who has one."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any

import msgspec

from placement import keys
from placement.connect import Client, ask
from placement.errors import LeaseHeld, RecordRefused, Unavailable, reaching
from placement.histories import Histories
from placement.model import WorkerRecord
from placement.scripts import Scripts
from placement.tenure import Tenure
from placement.tenure import boot_time as boot_time

log = logging.getLogger(__name__)

_RENEWALS = 3
"""Renewals in one ttl, so that two may get lost."""
_RETRY_S = 0.2
_KEPT_MS = 3_600_000
"""How long a worker's record outlives its last renewal."""


class Lease:
    """One incarnation's lease. It is over when this clock says so, whatever the store thinks, and
    then for good: counted from before each renewal was sent, it ends here before it ends there."""

    def __init__(self, leases: "Leases", record: WorkerRecord, expires_at: float) -> None:
        self._leases = leases
        self.worker = record.worker
        self.incarnation = record.incarnation
        self.tenure = Tenure(expires_at)
        self.is_forgotten = False
        """The store had no such lease any more while by our clock it lived: it has lost writes."""
        self._soon = asyncio.Event()

    def __repr__(self) -> str:
        return f"<Lease of {self.worker}, {self.tenure!r}>"

    @property
    def expires_at(self) -> float:
        """On `boot_time`."""
        return self.tenure.expires_at

    def is_valid(self, now: float) -> bool:
        """May this worker serve at `now` (of `boot_time`)? Once False, always False."""
        return self.tenure.lasts(now)

    async def run(
        self,
        describe: Callable[[], WorkerRecord],
        compare: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """Renew with the present record until the lease is lost; then return. Redis being away
        is no reason to end before the clock says so.

        `compare` comes before each renewal and is part of it: a lease that lives says that what it
        looks at was looked at a ttl ago at most."""
        is_away = False
        while self.is_valid(boot_time()):
            try:
                if not await self._renew(describe, compare):
                    break
            except (Unavailable, TimeoutError):
                if not is_away:
                    log.warning("lease cannot be renewed now", extra={"worker": self.worker})
                is_away = True
                await asyncio.sleep(min(_RETRY_S, self._leases.ttl_s / 10))
                continue
            if is_away:
                log.info("lease is renewed again", extra={"worker": self.worker})
            is_away = False
            await self._pause()
        self.tenure.end()
        log.error("lease is lost", extra={"worker": self.worker})

    def renew_soon(self) -> None:
        """What this worker says of itself changed: others should read it now."""
        self._soon.set()

    async def _pause(self) -> None:
        try:
            async with asyncio.timeout(self._leases.ttl_s / _RENEWALS):
                await self._soon.wait()
        except TimeoutError:
            pass
        self._soon.clear()

    async def _renew(
        self,
        describe: Callable[[], WorkerRecord],
        compare: Callable[[], Awaitable[None]] | None,
    ) -> bool:
        sent = boot_time()
        async with asyncio.timeout(max(0.0, self.expires_at - sent)):
            if compare is not None:
                await compare()
            is_done = await self._leases.renew(describe(), self.incarnation)
        self.is_forgotten = not is_done and self.is_valid(boot_time())
        # Looked at before the end moves: an answer that comes after the old end revives nothing,
        # for whoever asked meanwhile was told that the lease is over.
        if not is_done or not self.is_valid(boot_time()):
            return False
        self.tenure.expires_at = sent + self._leases.ttl_s
        return True


class Leases:
    """`margin_s` is waited out by who takes over: drift of the two clocks in one ttl and a round
    trip. Reads go to the primary: `redis` must not be a client that reads from replicas."""

    def __init__(self, redis: Client, *, ttl_s: float, margin_s: float, replicas: int = 0) -> None:
        self.ttl_s = ttl_s
        self.margin_s = margin_s
        self._redis = redis
        self.histories = Histories(redis, self, boot_time)
        self._scripts = Scripts(redis, replicas=replicas)

    async def register(self, record: WorkerRecord) -> Lease:
        """The lease of a new incarnation. Raises LeaseHeld while another one's lives, and
        Unavailable; the same register may be repeated."""
        sent = boot_time()
        remaining_ms = await self._run("lease_register", record, record.incarnation)
        if remaining_ms:
            raise LeaseHeld(record.worker, remaining_ms)
        lease = Lease(self, record, sent + self.ttl_s)
        await self._list(record.worker)
        return lease

    async def renew(self, record: WorkerRecord, incarnation: str) -> bool:
        """For Lease.run: False when the store has no such lease any more."""
        if not await self._run("lease_renew", record, incarnation):
            return False
        await self._list(record.worker)
        return True

    async def retire(self, worker: str, incarnation: str) -> bool:
        """Give back the lease of an incarnation that is known to be dead, or of this one when it
        serves nothing any more; False when it is not that incarnation's."""
        pair = [keys.lease_key(worker), keys.worker_key(worker)]
        return bool(await self._scripts.run("lease_retire", pair, [incarnation]))

    async def holder(self, worker: str) -> str | None:
        """The incarnation that has the lease of this id now."""
        found = await ask(self._redis, "GET", keys.lease_key(worker))
        return None if found is None else str(found.decode())

    async def is_over(self, worker: str, incarnation: str) -> bool:
        """Has this incarnation's lease ended, provably? Takes the margin before it says True."""
        if await self.holder(worker) == incarnation:
            return False
        # The store's clock may be ahead of the owner's by what they drifted apart in one ttl.
        await asyncio.sleep(self.margin_s)
        return True

    async def worker(self, worker: str) -> WorkerRecord | None:
        """What this worker last said of itself, if its lease lives."""
        return (await self._look([worker]))[0]

    async def is_remembered(self, worker: str) -> bool:
        """Was it heard of within the last hour, whether its lease lives or not?"""
        return bool(await ask(self._redis, "EXISTS", keys.worker_key(worker)))

    async def workers(self) -> list[WorkerRecord]:
        """All workers whose lease lives, by id. Two round trips."""
        async with reaching():
            listed: Any = await self._redis.smembers(keys.WORKERS)
        ids = sorted(worker.decode() for worker in listed)
        found = await self._look(ids)
        for worker, record in zip(ids, found, strict=True):
            if record is None:
                await self._forget(worker)
        return [record for record in found if record is not None]

    async def _look(self, ids: Sequence[str]) -> list[WorkerRecord | None]:
        async with reaching():
            async with self._redis.pipeline(transaction=False) as pipe:
                for worker in ids:
                    pipe.execute_command("MGET", keys.lease_key(worker), keys.worker_key(worker))
                answers: Any = await pipe.execute() if ids else []
        return [_living(*answer) for answer in answers]

    async def _forget(self, worker: str) -> None:
        """Take an id without a record out of the list; a worker that is back lists it again."""
        async with reaching():
            if not await self._redis.exists(keys.worker_key(worker)):
                await self._redis.srem(keys.WORKERS, worker)

    async def _run(self, script: str, record: WorkerRecord, incarnation: str) -> int:
        pair = [keys.lease_key(record.worker), keys.worker_key(record.worker)]
        now = replace(record, heartbeat_ms=int(time.time() * 1000))
        ttl_ms = str(int(self.ttl_s * 1000))
        body = msgspec.json.encode(now)
        return int(
            await self._scripts.run(script, pair, [incarnation, ttl_ms, body, str(_KEPT_MS)])
        )

    async def _list(self, worker: str) -> None:
        await ask(self._redis, "SADD", keys.WORKERS, worker)


def _living(incarnation: bytes | None, body: bytes | None) -> WorkerRecord | None:
    if incarnation is None or body is None:
        return None
    try:
        record = msgspec.json.decode(body, type=WorkerRecord)
    except msgspec.MsgspecError as error:
        raise RecordRefused(f"a worker's record is not one of ours: {error}") from error
    return record if record.incarnation == incarnation.decode() else None
