-- What every operation on an actor shares; stands before each of them in the script that is sent.
--
-- KEYS[1]  the actor, rouse:a:{namespace/name}: the only key an operation touches.
-- ARGV[1]  id of this call. The record remembers the last one that changed it.
-- ARGV[2]  letters of the states the operation is allowed from (model.ALLOWED_FROM).
-- ARGV[3]  letters of the states it leads to (model.RESULT).
-- ARGV[4]  channel of the change feed; with ':progress' that of what ends nobody's route.
-- ARGV[5+] the operation's own.
-- Answer   {outcome, retry_after_ms, record}: as it stands afterwards, packed; '' when there is none.
--          Of those that make an owner also the history, see below.
--
-- A record is one MessagePack array and not a hash: without the name and the frame of each field
-- a sleeping actor takes half the memory. wire.Packed names the places; what is absent is empty,
-- and empty places at the end are left out, so what only a running actor has stands last.
-- u uid, s state ('-' deleted), e epoch, r revision, t template, m made (unix seconds), a active,
-- c last call, p snapshot, w worker, f failures in a row, x reason, y policy, i incarnation, o door,
-- d deadline, b retry at, q last call of set_policy.
-- As it is kept a uid of 16 hex digits is 8 bytes (any other has nine '=' before it), `a` counts
-- milliseconds from `m`, and a snapshot's name is what wire.pack_snapshot made of it.
local PLACES = {'u', 's', 'e', 'r', 't', 'm', 'a', 'c', 'p', 'w', 'f', 'x', 'y', 'i', 'o', 'd',
  'b', 'q'}
local EMPTY = {f = 0, d = 0, b = 0}
local GONE = '-'
local UID_MARK = 9
local key, call, from, to, channel = KEYS[1], ARGV[1], ARGV[2], ARGV[3], ARGV[4]

local packed = redis.call('GET', key)
local record = {}
if packed then
  for n, value in ipairs(cmsgpack.unpack(packed)) do
    local field = PLACES[n]
    if value ~= (EMPTY[field] or '') then record[field] = value end
  end
  if #record.u == 8 then
    record.u = string.format('%08x%08x', struct.unpack('>I4I4', record.u))
  else
    record.u = string.sub(record.u, UID_MARK + 1)
  end
  record.a = record.m * 1000 + record.a
end

-- The store's clock: the only one that judges a deadline or a back-off.
local function now_ms()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

local function exists() return record.u and record.s ~= GONE end

local function is_from() return string.find(from, record.s, 1, true) end

local function answer(outcome, retry_after_ms)
  return {outcome, retry_after_ms or 0, packed or ''}
end

-- The history of this server's data: another one after a failover or a start, and then what was
-- answered before may be forgotten. Empty where the server does not tell.
local function with_history(told)
  local info = redis.pcall('INFO', 'replication')
  told[4] = type(info) == 'string' and string.match(info, 'master_replid:(%x+)') or ''
  return told
end

local function uid_as_kept(uid)
  if #uid ~= 16 or string.find(uid, '[^0-9a-f]') then return string.rep('=', UID_MARK) .. uid end
  return struct.pack('>I4I4', tonumber(string.sub(uid, 1, 8), 16),
    tonumber(string.sub(uid, 9), 16))
end

local function save(...)
  local values, last = {}, 0
  for n, field in ipairs(PLACES) do
    if record[field] then last = n end
    values[n] = record[field] or EMPTY[field] or ''
  end
  values[1] = uid_as_kept(record.u)
  values[7] = record.a - record.m * 1000
  packed = cmsgpack.pack({unpack(values, 1, last)})
  redis.call('SET', key, packed, ...)
end

-- The same call once more. Writes, though nothing changes: WAIT counts only from a connection's
-- own last write, and the repeat may come over another connection than the call did.
local function again()
  redis.call('SET', key, packed, 'KEEPTTL')
  return answer('done')
end

-- Every gateway hears the change feed: it has only what may end a route, one word for each cycle of
-- an actor instead of four.
local function tell(is_over)
  local to_whom = (is_over or not record.i) and channel or channel .. ':progress'
  redis.call('PUBLISH', to_whom, table.concat({'a', string.match(key, '{(.*)}'), record.u,
    record.e, record.r, record.s, record.o or ''}, ' '))
end

-- Of the call that put an actor to rest half will do, and as a number: see is_repeated.
local function remembered()
  if record.i then return call end
  local half = string.sub(call, 1, 8)
  return tonumber(half, 16) or half
end

-- One transition: into `state`, with the fields in `set` and without those in `unset`.
local function move(state, set, unset, is_over)
  for field, value in pairs(set) do record[field] = value end
  for _, field in ipairs(unset) do record[field] = nil end
  record.s, record.r, record.c = state, record.r + 1, remembered()
  save()
  tell(is_over)
  return answer('done')
end

-- Does the fence in ARGV from `first` on have these values in its places?
local function is_shown(first, u, e, w, r)
  return u == ARGV[first] and tostring(e) == ARGV[first + 1] and w == ARGV[first + 2]
    and tostring(r) == ARGV[first + 4]
end

-- While somebody owns it the call itself is known. At rest, the revision after the one shown, at
-- the same epoch and by the same worker, is what this owner wrote: it makes one call at a time.
local function is_repeated(first)
  if record.i then return record.c == call end
  return exists() and record.c == remembered()
    and is_shown(first, record.u, record.e, record.w, record.r - 1)
end

-- What refuses a write by fence, or nil: uid, epoch, worker, incarnation and revision stand in
-- ARGV from `first` on. A fence that is right in a state that is wrong is the owner's own mistake.
local function refusal(first)
  if is_repeated(first) then return again() end
  if not exists() then return answer('not-found') end
  if record.i ~= ARGV[first + 3]
    or not is_shown(first, record.u, record.e, record.w, record.r) then
    return answer('stale')
  end
  if not is_from() then return answer('wrong-state') end
  return nil
end

-- A new owner for a new epoch: worker, incarnation, door and budget stand in ARGV[5..8].
local function own(is_over)
  return with_history(move(to, {e = record.e + 1, w = ARGV[5], i = ARGV[6], o = ARGV[7],
    d = now_ms() + ARGV[8]}, {'b'}, is_over))
end

-- Is the record still the one that was seen: uid ('' there was none) and revision in ARGV?
-- What was deleted stays so, whoever knew it.
local function is_seen(first, uid)
  if record.s == GONE and record.u == uid then return false end
  if ARGV[first] == '' then return not exists() end
  return exists() and record.u == ARGV[first] and tostring(record.r) == ARGV[first + 1]
end

-- What a worker knows of an actor in place of a record that is behind it. From ARGV[first] on: uid,
-- epoch, revision, worker, template, snapshot, policy, made, active, failures, reason.
local function known(first)
  local function text(n) return ARGV[first + n] ~= '' and ARGV[first + n] or nil end
  return {u = ARGV[first], s = to, e = tonumber(ARGV[first + 1]),
    r = math.max(tonumber(ARGV[first + 2]), record.r or 0), w = text(3), t = ARGV[first + 4],
    p = text(5), y = text(6), m = math.floor(ARGV[first + 7] / 1000), a = tonumber(ARGV[first + 8]),
    f = tonumber(ARGV[first + 9]), x = text(10)}
end
