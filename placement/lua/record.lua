-- What every operation on an actor shares; stands before each of them in the script that is sent.
--
-- KEYS[1]  the actor's hash, rouse:a:{namespace/name}: the only key an operation touches.
-- ARGV[1]  id of this call. The record remembers the last one that changed it.
-- ARGV[2]  letters of the states the operation is allowed from (model.ALLOWED_FROM).
-- ARGV[3]  letters of the states it leads to (model.RESULT).
-- ARGV[4]  channel of the change feed.
-- ARGV[5+] the operation's own.
-- Answer   {outcome, retry_after_ms, {field, value, ...}}: the record as it stands afterwards.
--
-- Fields: u uid, s state, e epoch, r revision, t template, p snapshot, w worker, i incarnation,
-- o door, d deadline, f failures in a row, b retry at, x reason, y policy, m made, a active,
-- c last call, q last call of set_policy, g this actor is gone (a tombstone, to answer repeats).
local key, call, from, to, channel = KEYS[1], ARGV[1], ARGV[2], ARGV[3], ARGV[4]

local record = {}
do
  local flat = redis.call('HGETALL', key)
  for n = 1, #flat, 2 do record[flat[n]] = flat[n + 1] end
end

-- The store's clock: the only one that judges a deadline or a back-off.
local function now_ms()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

local function exists() return record.u and not record.g end

local function is_from() return string.find(from, record.s, 1, true) end

local function answer(outcome, retry_after_ms)
  local fields = redis.call('HGETALL', key)
  return {outcome, retry_after_ms or 0, fields}
end

-- The same call once more. Writes, though nothing changes: WAIT counts only from a connection's
-- own last write, and the repeat may come over another connection than the call did.
local function again(field)
  redis.call('HSET', key, field, call)
  return answer('done')
end

local function tell(state)
  local now = redis.call('HMGET', key, 'u', 'e', 'r', 'o')
  local actor = string.match(key, '{(.*)}')
  redis.call('PUBLISH', channel, table.concat(
    {'a', actor, now[1], now[2] or 0, now[3] or 0, state, now[4] or ''}, ' '))
end

-- One transition: into `state`, with `set` (a flat list) and without the fields in `unset`.
local function move(state, set, unset)
  redis.call('HSET', key, 's', state, 'r', record.r + 1, 'c', call, unpack(set))
  if #unset > 0 then redis.call('HDEL', key, unpack(unset)) end
  tell(state)
  return answer('done')
end

-- What refuses a write by fence, or nil: uid, epoch, worker, incarnation and revision stand in
-- ARGV from `first` on. A fence that is right in a state that is wrong is the owner's own mistake.
local function refusal(first)
  if record.c == call then return again('c') end
  if not exists() then return answer('not-found') end
  for n, field in ipairs({'u', 'e', 'w', 'i', 'r'}) do
    if record[field] ~= ARGV[first + n - 1] then return answer('stale') end
  end
  if not is_from() then return answer('wrong-state') end
  return nil
end

-- A new owner for a new epoch: worker, incarnation, door and budget stand in ARGV[5..8].
local function own()
  return move(to, {'e', record.e + 1, 'w', ARGV[5], 'i', ARGV[6], 'o', ARGV[7],
    'd', now_ms() + ARGV[8]}, {'b'})
end
