-- commit_suspend: the snapshot is durable, the actor is nobody's.
--
-- ARGV[5..9] fence, ARGV[10] snapshot or '' (keeps the old one), ARGV[11] last activity (unix ms),
-- ARGV[12] reason or '' (none).
-- Answers done, not-found, stale, wrong-state.
-- Guarantee: promotion and release are one step; a zombie's snapshot never becomes the latest.
local refused = refusal(5)
if refused then return refused end
local set, unset = {'a', ARGV[11]}, {'i', 'o', 'd', 'f'}
if ARGV[10] ~= '' then set[3], set[4] = 'p', ARGV[10] end
if ARGV[12] ~= '' then
  set[#set + 1] = 'x'
  set[#set + 1] = ARGV[12]
else
  unset[5] = 'x'
end
return move(to, set, unset)
