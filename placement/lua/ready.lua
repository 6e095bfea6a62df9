-- ready: the owner may serve from now on.
--
-- ARGV[5..9] fence. Answers done (with the history), not-found, stale, wrong-state.
-- Guarantee: done only for the present epoch, so nothing is served for one that was taken over.
-- Failures are kept: a program that starts and breaks at once must still come to its back-off.
local refused = refusal(5)
if refused then return refused[1] == 'done' and with_history(refused) or refused end
return with_history(move(to, {a = now_ms()}, {'d'}))
