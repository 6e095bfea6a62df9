-- ready: the owner may serve from now on.
--
-- ARGV[5..9] fence. Answers done, not-found, stale, wrong-state.
-- Guarantee: done only for the present epoch, so nothing is served for one that was taken over.
-- Failures are kept: a program that starts and breaks at once must still come to its back-off.
return refusal(5) or move(to, {a = now_ms()}, {'d'})
