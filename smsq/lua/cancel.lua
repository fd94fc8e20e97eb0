#!lua flags=no-cluster,allow-oom
-- Cancels a job, if the gateway was certainly not called: `scheduled`, `queued` (reserved or not) and `retrying`
-- (every call so far was certainly refused), but for one whose lost answer was resent. Its id stays on the lane until
-- `take` drops it.
--
-- ARGV  id, retention (ms)
-- Returns 'cancelled' (now or before), 'late' (it is being sent, or has ended otherwise), 'gone', 'malformed', 'newer'
-- Keeps rule 1: `finish` takes the id out of `due`.
local id, retention = unpack(ARGV)
local now = clock()
local job, why = read(id)
if why then return why end
if job.state == 'cancelled' then
  redis.pcall('HINCRBY', job_key(id), 'asked', 1)   -- something for a WAIT to confirm
  return 'cancelled'
end
if FINAL[job.state] or job.state == 'sending' or job.on_unknown == 'resent' then return 'late' end
local how = ended(job, now)
finish(job, how or 'cancelled', now, retention)
return how == 'expired' and 'late' or 'cancelled'
