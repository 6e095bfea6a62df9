-- quota_leave: these do not run here any more.
--
-- ARGV[1] worker, ARGV[2..] names. Answers how many places became free.
-- Guarantee: never gives back the place of an actor that another worker took since.
local left = 0
for n = 2, #ARGV do
  if redis.call('HGET', takers, ARGV[n]) == ARGV[1] then
    left = left + redis.call('ZREM', places, ARGV[n])
    redis.call('HDEL', takers, ARGV[n])
  end
end
return left
