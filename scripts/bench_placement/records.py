"""Suspended actors by the hundred thousand: copies of one that really was woken and suspended."""

import secrets
from typing import Any

import msgspec

from placement import keys
from placement.connect import Client
from placement.model import ActorId
from placement.scripts import source
from placement.wire import Packed
from scripts.bench_placement.spine import NAMESPACE

_BATCH = 5000
_LEAF = 127
"""As placement.listing enters them."""


def sleeper(number: int) -> ActorId:
    return ActorId.of(NAMESPACE, f"sleeper-{number:07d}")


async def fill(redis: Client, like: ActorId, begin: int, end: int, *, index: bool) -> None:
    """Sleepers `begin` to `end`, each with ids of its own. With `index` only their entries."""
    packed: Any = await redis.get(keys.actor_key(like))
    pattern = msgspec.msgpack.decode(packed, type=Packed)
    snapshot = pattern.snapshot
    text, sha = source("index_add")
    await redis.script_load(text)
    for at in range(begin, end, _BATCH):
        async with redis.pipeline(transaction=False) as pipe:
            for number in range(at, min(at + _BATCH, end)):
                actor = sleeper(number)
                if index:
                    root = keys.index_key(NAMESPACE)
                    pipe.execute_command("EVALSHA", sha, 1, root, actor.name, str(_LEAF))
                    continue
                # Nothing is shared: equal strings would be no cheaper in Redis, but let none be.
                made = msgspec.structs.replace(
                    pattern,
                    uid=secrets.token_hex(8),
                    call=secrets.token_hex(4),
                    snapshot=snapshot[:-8] + secrets.token_hex(4),
                )
                pipe.execute_command("SET", keys.actor_key(actor), _pack(made))
            await pipe.execute()


def _pack(record: Packed) -> bytes:
    """Empty places at the end left out, as the scripts do."""
    values = list(msgspec.structs.astuple(record))
    while values and values[-1] in ("", 0):
        values.pop()
    return msgspec.msgpack.encode(values)
