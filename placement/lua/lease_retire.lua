-- lease_retire: an incarnation that is known to be over gives its lease back early.
--
-- KEYS[1] lease rouse:l:{id}, KEYS[2] worker record rouse:w:{id}. ARGV[1] incarnation.
-- Answers 1 when the lease was its, else 0.
-- Guarantee: never ends another incarnation's lease.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('DEL', KEYS[1], KEYS[2])
return 1
