-- claim: one worker becomes the owner of an actor that has none, for one epoch.
--
-- ARGV[5] worker, ARGV[6] incarnation, ARGV[7] door, ARGV[8] milliseconds until others may claim.
-- Answers done (with the history), not-found, held (with the record of who has it), backing-off.
-- Guarantee: of any number of claimants one gets each epoch. Somebody else's wake that is still
-- not ready after its deadline is claimable too: nothing was served from it, and whatever its
-- owner writes later shows an old epoch.
if record.c == call then return with_history(again()) end
if not exists() then return answer('not-found') end
local now = now_ms()
local is_overdue = record.s == to and record.d <= now
if not is_from() and not is_overdue then return answer('held') end
if record.b and record.b > now then return answer('backing-off', record.b - now) end
return own()
