"""The placement table: one coroutine per operation, each of them one script on one key."""

from collections.abc import Sequence
from typing import Any

from placement import keys, wire
from placement.connect import Client, ask
from placement.errors import TableUnavailable, Unavailable, reaching
from placement.listing import Listing
from placement.model import (
    ALLOWED_FROM,
    RESULT,
    ActorId,
    ActorRecord,
    Answer,
    BackOff,
    Claimant,
    Fence,
    Operation,
    Outcome,
    new_uid,
)
from placement.scripts import Scripts

_STATES = {op: (wire.letters(ALLOWED_FROM[op]), wire.letters(RESULT[op])) for op in Operation}
"""Where each operation may begin and what it leads to, as the scripts take it."""
_TOMBSTONE_MS = 60_000
"""For how long a delete that is repeated gets its answer again."""


class Table:
    """Who is where. Every operation answers with the outcome and the record as it then stands;
    a refusal is an answer, not an error. Without an answer each raises TableUnavailable, which
    has the id of the call: repeat that same call until it is known (`until_known`).

    With `replicas`, done means that so many replicas have it too; see Scripts."""

    def __init__(self, redis: Client, *, replicas: int = 0) -> None:
        self._redis = redis
        self._scripts = Scripts(redis, replicas=replicas)
        self._listing = Listing(redis)

    def __repr__(self) -> str:
        return f"<Table {self._scripts!r}>"

    async def read(self, actor: ActorId) -> ActorRecord | None:
        try:
            packed = await ask(self._redis, "GET", keys.actor_key(actor))
        except Unavailable as error:
            raise TableUnavailable(actor, "", str(error)) from error
        return wire.decode(actor, packed)

    async def read_all(self, actors: Sequence[ActorId]) -> dict[ActorId, ActorRecord | None]:
        """Each as of its own read, in one round trip (in a cluster one to each node)."""
        if not actors:
            return {}
        async with reaching():
            async with self._redis.pipeline(transaction=False) as pipe:
                for actor in actors:
                    pipe.execute_command("GET", keys.actor_key(actor))
                answers: Any = await pipe.execute()
        return {
            actor: wire.decode(actor, packed) for actor, packed in zip(actors, answers, strict=True)
        }

    async def create(
        self,
        actor: ActorId,
        *,
        template: str,
        policy: str | None = None,
        snapshot: str | None = None,
        call: str | None = None,
    ) -> Answer:
        """A suspended actor, with `snapshot` to wake from; its uid is the call's id. EXISTS comes
        with the record that has the name."""
        call = call or new_uid()
        answer = await self._run(
            Operation.CREATE, actor, call, template, wire.pack_snapshot(snapshot), policy
        )
        if answer.is_done:
            await self._index(actor, call)
        return answer

    async def claim(
        self, actor: ActorId, claimant: Claimant, *, budget_ms: int, call: str | None = None
    ) -> Answer:
        """Own the actor for one epoch. Others may claim it too when it is not `ready` after
        `budget_ms`. HELD comes with the record of who has it."""
        return await self._run(
            Operation.CLAIM, actor, call, *_claimant(claimant), str(int(budget_ms))
        )

    async def take_over(
        self, seen: ActorRecord, claimant: Claimant, *, budget_ms: int, call: str | None = None
    ) -> Answer:
        """Own the actor in place of its owner in `seen`. Only after `Leases.is_over` said True of
        that owner, asked later than `seen` was read."""
        return await self._run(
            Operation.TAKE_OVER,
            seen.actor,
            call,
            *_claimant(claimant),
            str(int(budget_ms)),
            *_fence(seen.fence()),
        )

    async def ready(self, fence: Fence, *, call: str | None = None) -> Answer:
        return await self._run(Operation.READY, fence.actor, call, *_fence(fence))

    async def release(
        self,
        fence: Fence,
        *,
        reason: str,
        failed: bool,
        back_off: BackOff | None = None,
        call: str | None = None,
    ) -> Answer:
        """Give it up without a new snapshot. `failed` counts it; the count ends with a suspend,
        not with `ready`, so that a program that starts and breaks at once backs off too."""
        rule = back_off or BackOff()
        limits = (str(rule.threshold), str(rule.base_ms), str(rule.limit_ms))
        return await self._run(
            Operation.RELEASE,
            fence.actor,
            call,
            *_fence(fence),
            reason,
            "1" if failed else "0",
            *limits,
        )

    async def checkpointed(
        self, fence: Fence, *, snapshot: str, active_ms: int, call: str | None = None
    ) -> Answer:
        return await self._run(
            Operation.CHECKPOINTED,
            fence.actor,
            call,
            *_fence(fence),
            wire.pack_snapshot(snapshot),
            str(active_ms),
        )

    async def begin_suspend(self, fence: Fence, *, call: str | None = None) -> Answer:
        return await self._run(Operation.BEGIN_SUSPEND, fence.actor, call, *_fence(fence))

    async def abort_suspend(self, fence: Fence, *, call: str | None = None) -> Answer:
        return await self._run(Operation.ABORT_SUSPEND, fence.actor, call, *_fence(fence))

    async def commit_suspend(
        self,
        fence: Fence,
        *,
        snapshot: str | None,
        active_ms: int,
        reason: str | None = None,
        call: str | None = None,
    ) -> Answer:
        """The durable `snapshot` becomes the latest and the actor nobody's. None keeps the old
        one: what changed since is lost."""
        call = call or new_uid()
        answer = await self._run(
            Operation.COMMIT_SUSPEND,
            fence.actor,
            call,
            *_fence(fence),
            wire.pack_snapshot(snapshot),
            str(active_ms),
            reason,
        )
        if answer.is_done and fence.epoch == 1:
            # Who created it may have died between the record and the index.
            await self._index(fence.actor, call)
        return answer

    async def reassert(
        self,
        mine: ActorRecord,
        seen: ActorRecord | None,
        claimant: Claimant,
        *,
        budget_ms: int,
        call: str | None = None,
    ) -> Answer:
        """Own a running copy anew, over `seen`, which has forgotten what `mine` says. Only after
        `histories.judge` said so."""
        call = call or new_uid()
        answer = await self._run(
            Operation.REASSERT,
            mine.actor,
            call,
            *_claimant(claimant),
            str(int(budget_ms)),
            *_seen(seen),
            *_known(mine),
        )
        if answer.is_done and seen is None:
            await self._index(mine.actor, call)
        return answer

    async def recommit(
        self, mine: ActorRecord, seen: ActorRecord | None, *, call: str | None = None
    ) -> Answer:
        """Make the suspend whose answer was `mine` once more, over `seen`, which has forgotten it.
        Only after `histories.judge` said so."""
        call = call or new_uid()
        answer = await self._run(Operation.RECOMMIT, mine.actor, call, *_seen(seen), *_known(mine))
        if answer.is_done and seen is None:
            await self._index(mine.actor, call)
        return answer

    async def set_policy(
        self, actor: ActorId, uid: str, policy: str | None, *, call: str | None = None
    ) -> Answer:
        """Changes no state and no revision, so it never gets in the way of the owner."""
        return await self._run(Operation.SET_POLICY, actor, call, uid, policy)

    async def delete(self, actor: ActorId, uid: str, *, call: str | None = None) -> Answer:
        """DONE comes without a record. WRONG_STATE: a worker owns it, so suspend it first."""
        call = call or new_uid()
        answer = await self._run(Operation.DELETE, actor, call, uid, str(_TOMBSTONE_MS))
        if answer.is_done:
            try:
                await self._listing.remove(actor)
            except Unavailable as error:
                raise TableUnavailable(actor, call, str(error)) from error
        return answer

    async def _index(self, actor: ActorId, call: str) -> None:
        try:
            await self._listing.add(actor)
        except Unavailable as error:
            raise TableUnavailable(actor, call, str(error)) from error

    async def _run(
        self, operation: Operation, actor: ActorId, call: str | None, *own: str | bytes | None
    ) -> Answer:
        call = call or new_uid()
        arguments = wire.encode((call, *_STATES[operation], keys.CHANGES, *own))
        try:
            outcome, retry_after_ms, packed, *history = await self._scripts.run(
                operation.value, [keys.actor_key(actor)], arguments, prelude="record"
            )
        except Unavailable as error:
            raise TableUnavailable(actor, call, str(error)) from error
        return Answer(
            outcome=Outcome(outcome.decode()),
            record=wire.decode(actor, packed),
            retry_after_ms=retry_after_ms,
            history=history[0].decode() if history else "",
        )


def _claimant(claimant: Claimant) -> tuple[str, str, str]:
    return claimant.worker, claimant.incarnation, claimant.door


def _fence(fence: Fence) -> tuple[str, str, str, str, str]:
    return fence.uid, str(fence.epoch), fence.worker, fence.incarnation, str(fence.revision)


def _seen(record: ActorRecord | None) -> tuple[str, str]:
    return ("", "0") if record is None else (record.uid, str(record.revision))


def _known(mine: ActorRecord) -> tuple[str | bytes | None, ...]:
    counts = (mine.created_ms, mine.active_ms, mine.failures)
    return (
        mine.uid,
        str(mine.epoch),
        str(mine.revision),
        mine.worker,
        mine.template,
        wire.pack_snapshot(mine.snapshot),
        mine.policy,
        *map(str, counts),
        mine.reason,
    )
