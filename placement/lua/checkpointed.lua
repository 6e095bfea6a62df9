-- checkpointed: a running actor has a new durable snapshot and runs on.
--
-- ARGV[5..9] fence, ARGV[10] snapshot, ARGV[11] last activity (unix ms).
-- Answers done, not-found, stale, wrong-state.
-- Guarantee: promoted only by the present owner. The count of failures stays: what a program left
-- that broke soon after its start is kept by a checkpoint, and the break still counts.
return refusal(5) or move(to, {p = ARGV[10], a = tonumber(ARGV[11])}, {})
