-- delete: an actor that nobody owns is no more, and its name is free.
--
-- ARGV[5] uid, ARGV[6] milliseconds for which a repeat of this call is still known.
-- Answers done (the record is a tombstone), not-found, stale (another actor), wrong-state.
-- Guarantee: never while a worker owns it; the snapshots are the collector's to remove.
if record.c == call then return again() end
if not exists() then return answer('not-found') end
if record.u ~= ARGV[5] then return answer('stale') end
if not is_from() then return answer('wrong-state') end
record = {u = record.u, s = GONE, e = record.e, r = record.r + 1, t = record.t, m = record.m,
  a = record.a, c = call}
save('PX', ARGV[6])
tell()
return answer('done')
