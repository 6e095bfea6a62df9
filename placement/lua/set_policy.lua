-- set_policy: what this actor has of its own in idle and egress rules.
--
-- ARGV[5] uid, ARGV[6] policy or '' (none). Answers done, not-found, stale.
-- Guarantee: changes no state, and neither the revision nor the remembered call: an owner in the
-- middle of a suspend must not be refused because somebody set a policy meanwhile.
if not exists() then return answer('not-found') end
if record.q == call then return again() end
if record.u ~= ARGV[5] then return answer('stale') end
if not is_from() then return answer('wrong-state') end
record.y, record.q = ARGV[6] ~= '' and ARGV[6] or nil, call
save()
tell()
return answer('done')
