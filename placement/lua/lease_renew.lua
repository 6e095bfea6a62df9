-- lease_renew: the lease runs on for a full ttl, and the worker's record is the present one.
--
-- KEYS[1] lease rouse:l:{id}, KEYS[2] worker record rouse:w:{id}.
-- ARGV[1] incarnation, ARGV[2] ttl (ms), ARGV[3] worker record, ARGV[4] how long that is kept (ms).
-- Answers 1, or 0 when the lease is not (any more) of this incarnation.
-- Guarantee: what has lapsed stays lapsed.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
redis.call('SET', KEYS[2], ARGV[3], 'PX', ARGV[4])
return 1
