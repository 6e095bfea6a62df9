-- abort_suspend: a request came in time; the owner serves again.
--
-- ARGV[5..9] fence. Answers done, not-found, stale, wrong-state.
-- Guarantee: done only while the suspend was not committed.
return refusal(5) or move(to, {}, {})
