-- template_delete: a template is no more, and caches hear of it.
--
-- KEYS[1] rouse:t:{namespace}. ARGV[1] name, ARGV[2] channel, ARGV[3] what to tell there.
-- Answers 1 when it was there, else 0.
if redis.call('HDEL', KEYS[1], ARGV[1]) == 0 then return 0 end
redis.call('PUBLISH', ARGV[2], ARGV[3])
return 1
