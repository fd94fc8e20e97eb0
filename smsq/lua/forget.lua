#!lua flags=no-cluster,allow-oom
-- Forgets what was put aside: a person has looked at it. A record that can't be used goes with it, for the sweep would
-- find it again.
--
-- ARGV  id, retention (ms) of its idempotency key
-- Returns 1 if it was put aside (or had been, and this is a repeat), else 0
-- Keeps rule 1: the record goes, and with it its entry in `due`; an id that waits on a lane is dropped by `take`.
local id, retention = ARGV[1], tonumber(ARGV[2])
if on_ours('HDEL', 'smsq:parked', id) == 0 then return TRIED > 0 and 1 or 0 end
local key = job_key(id)
local _, why = read(id)
if why ~= 'malformed' then return 1 end
local found = lenient('HMGET', key, 'state', 'batch', 'key')
if not found.err and OPEN[found[1]] then
  finish({id = id, state = found[1], batch = found[2] or '', key = found[3] or nil}, 'failed', NOW, retention)
  redis.pcall('ZREM', ENDED .. 'failed', id)
end
in_due('ZREM', id)
redis.call('DEL', key)
return 1
