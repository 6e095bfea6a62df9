-- index_remove: a name is not in its namespace's index.
--
-- KEYS[1] root rouse:n:{namespace}. ARGV[1] name. Answers 1 when no name is left, else 0.
-- Guarantee: a leaf without names leaves the root; the lowest one only with the root.
local root, name = KEYS[1], ARGV[1]
local leaf = redis.call('ZREVRANGEBYLEX', root, '[' .. name, '-', 'LIMIT', 0, 1)[1]
if not leaf then return 1 end
redis.call('ZREM', root .. ':' .. leaf, name)
if redis.call('EXISTS', root .. ':' .. leaf) == 0 and leaf ~= '-' then
  redis.call('ZREM', root, leaf)
end
if redis.call('ZCARD', root) == 1 and redis.call('EXISTS', root .. ':-') == 0 then
  redis.call('DEL', root)
  return 1
end
return 0
