-- commit_suspend: the snapshot is durable, the actor is nobody's.
--
-- ARGV[5..9] fence, ARGV[10] snapshot or '' (keeps the old one), ARGV[11] last activity (unix ms),
-- ARGV[12] reason or '' (none).
-- Answers done, not-found, stale, wrong-state.
-- Guarantee: promotion and release are one step; a zombie's snapshot never becomes the latest.
local refused = refusal(5)
if refused then return refused end
local set, unset = {a = tonumber(ARGV[11])}, {'i', 'o', 'd', 'f', 'x'}
if ARGV[10] ~= '' then set.p = ARGV[10] end
if ARGV[12] ~= '' then
  set.x = ARGV[12]
  unset[5] = nil
end
return move(to, set, unset)
