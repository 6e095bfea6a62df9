-- reassert: the owner of a running copy claims it anew, over a record that has forgotten it.
--
-- ARGV[5] worker, ARGV[6] incarnation, ARGV[7] door, ARGV[8] milliseconds until others may claim;
-- ARGV[9..10] uid ('' none) and revision of the record as it was seen; ARGV[11..21] what this owner
-- was last told (see known). Answers done (with the history), stale (the record moved since).
-- Guarantee: only the very record that was judged (histories.judge) is replaced, and only by a new
-- epoch of the actor that is told: who claimed it by the forgetful record is refused from here on.
if record.c == call then return with_history(again()) end
if not is_seen(9, ARGV[11]) then return answer('stale') end
record = known(11)
return own(true)
