"""Suspended actors by the million: copies of one that really was woken and suspended, made by the
server itself so that filling takes seconds."""

from typing import Any

from placement import keys
from placement.connect import Client
from placement.model import ActorId
from placement.scripts import source
from scripts.bench_placement.spine import NAMESPACE

_BATCH = 5000
_LEAF = 127
"""As placement.listing enters them."""

# Nothing is shared: equal strings would be no cheaper in Redis, but let none be. Places as in
# lua/record.lua: 1 uid, 8 last call, 9 snapshot.
_RECORDS = """
local record = cmsgpack.unpack(redis.call('GET', KEYS[1]))
local epoch = string.sub(record[9], 18)
local function random() return math.random(0, 65535) * 65536 + math.random(0, 65535) end
for n = tonumber(ARGV[1]), tonumber(ARGV[2]) - 1 do
  record[7] = random() % 2592000000  -- active some time in its first month
  record[1], record[8] = struct.pack('>I4I4', random(), random()), random()
  record[9] = '\1' .. struct.pack('>I4I4I4I4', random(), random(), random(), random()) .. epoch
  redis.call('SET', string.format(ARGV[3], n), cmsgpack.pack(record))
end
"""
_ENTRIES = """
local function add(KEYS, ARGV)
%s
end
for n = tonumber(ARGV[1]), tonumber(ARGV[2]) - 1 do
  add({KEYS[1]}, {string.format(ARGV[3], n), ARGV[4]})
end
"""
_NAME = "sleeper-%07d"


def sleeper(number: int) -> ActorId:
    return ActorId.of(NAMESPACE, _NAME % number)


async def fill(redis: Client, like: ActorId, begin: int, end: int, *, index: bool) -> None:
    """Sleepers `begin` to `end`, each with ids of its own. With `index` only their entries."""
    entries = _ENTRIES % source("index_add")[0]
    pattern, root = keys.actor_key(like), keys.index_key(NAMESPACE)
    named = keys.actor_key(ActorId(NAMESPACE, _NAME))
    for at in range(begin, end, _BATCH):
        until = str(min(at + _BATCH, end))
        ask: Any = redis.eval  # redis-py's annotation knows strings only
        if index:
            await ask(entries, 1, root, str(at), until, _NAME, str(_LEAF))
        else:
            await ask(_RECORDS, 1, pattern, str(at), until, named)
