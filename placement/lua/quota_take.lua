-- quota_take: a place among the running actors of a namespace, if one is free.
--
-- ARGV[1] name, ARGV[2] worker, ARGV[3] quota, ARGV[4] milliseconds until it lapses.
-- Answers 1; 0 when all are taken by others.
-- Guarantee: of any number of takers no more than the quota have places. A name that has one
-- already keeps it, whoever took it: an actor that moves to another worker counts once.
if not redis.call('ZSCORE', places, ARGV[1])
  and redis.call('ZCARD', places) >= tonumber(ARGV[3]) then return 0 end
put(ARGV[1], ARGV[2], ARGV[4])
return 1
