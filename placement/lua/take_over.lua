-- take_over: another worker claims an actor whose owner's lease is over.
--
-- ARGV[5] worker, ARGV[6] incarnation, ARGV[7] door, ARGV[8] milliseconds until others may claim;
-- ARGV[9..13] the fence that was seen before the lease was looked at.
-- Answers done (with the history), not-found, stale (the record moved since), wrong-state (nobody
-- owns it: claim).
-- Guarantee: the owner is replaced only as it was seen. That its lease was over is the caller's
-- part, and stays true: what has lapsed is never renewed.
local refused = refusal(9)
if refused then return refused[1] == 'done' and with_history(refused) or refused end
return own(true)
