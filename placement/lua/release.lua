-- release: the owner gives the actor up without a new snapshot.
--
-- ARGV[5..9] fence, ARGV[10] reason, ARGV[11] '1' when this counts as a failed start,
-- ARGV[12] failures in a row that make it failed, ARGV[13] first and ARGV[14] longest back-off (ms).
-- ARGV[3] is two letters: suspended, failed. Answers done, not-found, stale, wrong-state.
-- Guarantee: claimable again at once, or after the back-off of the n-th failure in a row.
local refused = refusal(5)
if refused then return refused end
local owned = {'i', 'o', 'd'}
if ARGV[11] ~= '1' then return move(string.sub(to, 1, 1), {'x', ARGV[10]}, owned) end
local failures, threshold = (record.f or 0) + 1, tonumber(ARGV[12])
local set = {'x', ARGV[10], 'f', failures}
if failures < threshold then return move(string.sub(to, 1, 1), set, owned) end
set[5], set[6] = 'b', now_ms() + math.min(ARGV[13] * 2 ^ (failures - threshold), ARGV[14])
return move(string.sub(to, 2, 2), set, owned)
