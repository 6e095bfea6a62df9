-- begin_suspend: the owner stops serving, to take a snapshot.
--
-- ARGV[5..9] fence. Answers done, not-found, stale, wrong-state.
-- Guarantee: from here on nobody is sent to this door for this actor.
return refusal(5) or move(to, {}, {})
