-- quota_set: so many actors of a namespace may run at once from now on, and all hear of it.
--
-- KEYS[1] rouse:quotas. ARGV[1] namespace, ARGV[2] quota or '' (none), ARGV[3] channel,
-- ARGV[4] what to tell there. Answers 1 when it changed anything, else 0.
local before = redis.call('HGET', KEYS[1], ARGV[1]) or ''
if before == ARGV[2] then return 0 end
if ARGV[2] == '' then
  redis.call('HDEL', KEYS[1], ARGV[1])
else
  redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
end
redis.call('PUBLISH', ARGV[3], ARGV[4])
return 1
