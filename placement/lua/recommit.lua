-- recommit: a suspend that was answered is made once more, over a record that has forgotten it.
--
-- ARGV[5..6] uid ('' none) and revision of the record as it was seen; ARGV[7..17] what the suspend's
-- answer told (see known). Answers done, stale (the record moved since).
-- Guarantee: only the very record that was judged (histories.judge) is replaced; nobody owns it now.
if record.c == remembered() and record.u == ARGV[7] then return again() end
if not is_seen(5, ARGV[7]) then return answer('stale') end
record = known(7)
return move(to, {}, {})
