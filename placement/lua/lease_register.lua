-- lease_register: a worker's id belongs to this incarnation from now on.
--
-- KEYS[1] lease rouse:l:{id}, KEYS[2] worker record rouse:w:{id}.
-- ARGV[1] incarnation, ARGV[2] ttl (ms), ARGV[3] worker record, ARGV[4] how long that is kept (ms).
-- Answers 0, or the milliseconds another incarnation's lease has left (at least 1).
-- Guarantee: at most one incarnation of an id holds a lease at any time.
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return math.max(redis.call('PTTL', KEYS[1]), 1) end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
redis.call('SET', KEYS[2], ARGV[3], 'PX', ARGV[4])
return 0
