-- release: the owner gives the actor up without a new snapshot.
--
-- ARGV[5..9] fence, ARGV[10] reason, ARGV[11] '1' when this counts as a failed start,
-- ARGV[12] failures in a row that make it failed, ARGV[13] first and ARGV[14] longest back-off (ms).
-- ARGV[3] is two letters: suspended, failed. Answers done, not-found, stale, wrong-state.
-- Guarantee: claimable again at once, or after the back-off of the n-th failure in a row.
local refused = refusal(5)
if refused then return refused end
local owned, set, is_failed = {'i', 'o', 'd'}, {x = ARGV[10]}, false
if ARGV[11] == '1' then
  set.f = (record.f or 0) + 1
  is_failed = set.f >= tonumber(ARGV[12])
end
if not is_failed then return move(string.sub(to, 1, 1), set, owned) end
set.b = now_ms() + math.floor(math.min(ARGV[13] * 2 ^ (set.f - ARGV[12]), ARGV[14]))
return move(string.sub(to, 2, 2), set, owned)
