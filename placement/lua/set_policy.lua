-- set_policy: what this actor has of its own in idle and egress rules.
--
-- ARGV[5] uid, ARGV[6] policy or '' (none). Answers done, not-found, stale.
-- Guarantee: changes no state, and neither the revision nor the remembered call: an owner in the
-- middle of a suspend must not be refused because somebody set a policy meanwhile.
if exists() and record.q == call then return again('q') end
if not exists() then return answer('not-found') end
if record.u ~= ARGV[5] then return answer('stale') end
if not is_from() then return answer('wrong-state') end
if ARGV[6] ~= '' then
  redis.call('HSET', key, 'y', ARGV[6], 'q', call)
else
  redis.call('HDEL', key, 'y')
  redis.call('HSET', key, 'q', call)
end
tell(record.s)
return answer('done')
