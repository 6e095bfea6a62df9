-- index_add: a name is in its namespace's index.
--
-- KEYS[1] root rouse:n:{namespace}; leaves are KEYS[1]:<leaf>, in the same slot.
-- ARGV[1] name, ARGV[2] most names in a leaf. Answers 1 when it was missing, else 0.
-- Guarantee: the root orders the leaves by the lowest name each may hold ('-' sorts before every
-- name), and no leaf is larger than Redis keeps as one compact block. That is why this is not one
-- sorted set: a name costs about 20 bytes here and 100 there.
local root, name, limit = KEYS[1], ARGV[1], tonumber(ARGV[2])
local leaf = redis.call('ZREVRANGEBYLEX', root, '[' .. name, '-', 'LIMIT', 0, 1)[1]
if not leaf then
  leaf = '-'
  redis.call('ZADD', root, 0, leaf)
end
local page = root .. ':' .. leaf
if redis.call('ZADD', page, 0, name) == 0 then return 0 end
if redis.call('ZCARD', page) > limit then
  -- Names often come in order: then the full leaf stays full and a new one begins.
  local at = redis.call('ZRANK', page, name) == limit and limit or math.floor(limit / 2)
  local moved, scored = redis.call('ZRANGE', page, at, -1), {}
  for n, member in ipairs(moved) do scored[2 * n - 1], scored[2 * n] = 0, member end
  redis.call('ZADD', root, 0, moved[1])
  redis.call('ZADD', root .. ':' .. moved[1], unpack(scored))
  redis.call('ZREMRANGEBYRANK', page, at, -1)
end
return 1
