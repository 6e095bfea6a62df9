-- Charge a budget.
-- KEYS[1] hash slot number -> amount   ARGV[1] slot length in ms   ARGV[2] amount
-- Guarantee: the amount counts from now until the window has passed; old slots go, and a hash that
-- is not charged any more goes by itself.
local t = redis.call('TIME')
local length = tonumber(ARGV[1])
local slot = math.floor((t[1] * 1000 + t[2] / 1000) / length)
redis.call('HINCRBYFLOAT', KEYS[1], string.format('%d', slot), ARGV[2])
for _, name in ipairs(redis.call('HKEYS', KEYS[1])) do
  if tonumber(name) <= slot - 60 then redis.call('HDEL', KEYS[1], name) end
end
redis.call('PEXPIRE', KEYS[1], length * 61)
return 'OK'
