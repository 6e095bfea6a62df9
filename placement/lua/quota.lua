-- What the quota scripts share; stands before each of them in the script that is sent.
--
-- KEYS[1] places rouse:q:{namespace}: sorted set of names, each with the time (unix ms by the
-- store's clock) until which it is taken to run. KEYS[2] <KEYS[1]>:by: which worker took each.
-- A place that nobody renews lapses, so that whoever dies gives back all it had.
local places, takers = KEYS[1], KEYS[2]
local IDLE_MS = 3600000

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
for _, name in ipairs(redis.call('ZRANGEBYSCORE', places, '-inf', now)) do
  redis.call('ZREM', places, name)
  redis.call('HDEL', takers, name)
end

local function put(name, worker, lasts_ms)
  redis.call('ZADD', places, now + lasts_ms, name)
  redis.call('HSET', takers, name, worker)
  redis.call('PEXPIRE', places, IDLE_MS)
  redis.call('PEXPIRE', takers, IDLE_MS)
end
