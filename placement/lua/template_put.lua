-- template_put: a template's document is this one from now on, and caches hear of it.
--
-- KEYS[1] rouse:t:{namespace}. ARGV[1] name, ARGV[2] digest and document, ARGV[3] channel,
-- ARGV[4] what to tell there. Answers 1 when it changed anything, else 0.
if redis.call('HGET', KEYS[1], ARGV[1]) == ARGV[2] then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('PUBLISH', ARGV[3], ARGV[4])
return 1
