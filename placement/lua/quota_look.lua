-- quota_look: could this one run, were it woken now? Takes nothing.
--
-- KEYS[1] places rouse:q:{namespace}. ARGV[1] name ('' none), ARGV[2] quota.
-- Answers {1 or 0, places taken}.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local taken = redis.call('ZCOUNT', KEYS[1], '(' .. now, '+inf')
local until_ms = redis.call('ZSCORE', KEYS[1], ARGV[1])
local has_place = until_ms and tonumber(until_ms) > now
return {(has_place or taken < tonumber(ARGV[2])) and 1 or 0, taken}
