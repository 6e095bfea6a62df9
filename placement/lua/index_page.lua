-- index_page: the next names of a namespace, in order.
--
-- KEYS[1] root rouse:n:{namespace}. ARGV[1] the name to go on after or '', ARGV[2] how many.
-- Answers the names. Guarantee: who pages to the end sees every name that was there all the time.
local root, after, limit = KEYS[1], ARGV[1], tonumber(ARGV[2])
local names, lower = {}, after == '' and '-' or '(' .. after
local leaf = after == '' and redis.call('ZRANGE', root, 0, 0)[1]
  or redis.call('ZREVRANGEBYLEX', root, '[' .. after, '-', 'LIMIT', 0, 1)[1]
while leaf and #names < limit do
  local page = root .. ':' .. leaf
  for _, name in ipairs(redis.call('ZRANGEBYLEX', page, lower, '+', 'LIMIT', 0, limit - #names)) do
    names[#names + 1] = name
  end
  leaf = redis.call('ZRANGEBYLEX', root, '(' .. leaf, '+', 'LIMIT', 0, 1)[1]
end
return names
