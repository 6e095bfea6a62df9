-- create: a name that is free becomes a suspended actor of epoch 0.
--
-- ARGV[5] template, ARGV[6] snapshot to wake from or '', ARGV[7] policy or ''.
-- Answers done, exists (with the record that has the name).
-- Guarantee: one of any number of callers creates it. The call's id becomes the uid, so that the
-- same call is told apart from a stranger's for as long as the actor lives.
if exists() then
  if record.u == call then return again() end
  return answer('exists')
end
local now = now_ms()
record = {u = call, s = to, e = 0, r = 1, t = ARGV[5], m = math.floor(now / 1000), a = now}
if ARGV[6] ~= '' then record.p = ARGV[6] end
if ARGV[7] ~= '' then record.y = ARGV[7] end
save()
tell()
return answer('done')
