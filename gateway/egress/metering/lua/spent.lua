-- What a budget's window holds now.
-- KEYS[1] hash slot number -> amount   ARGV[1] slot length in ms (a window is 60 of them)
-- Answers the sum of the slots that are in the window, as text. Changes nothing.
local t = redis.call('TIME')
local slot = math.floor((t[1] * 1000 + t[2] / 1000) / tonumber(ARGV[1]))
local sum = 0
local all = redis.call('HGETALL', KEYS[1])
for i = 1, #all, 2 do
  if tonumber(all[i]) > slot - 60 then sum = sum + tonumber(all[i + 1]) end
end
return string.format('%.9f', sum)
