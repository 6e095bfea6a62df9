-- quota_hold: these run here and go on to; their places last on, whatever the quota is.
--
-- ARGV[1] worker, ARGV[2] milliseconds until they lapse, ARGV[3..] names. Answers the places taken.
-- Guarantee: a set that was lost, or that began with a quota set just now, is whole again once
-- every worker has told.
for n = 3, #ARGV do put(ARGV[n], ARGV[1], ARGV[2]) end
return redis.call('ZCARD', places)
