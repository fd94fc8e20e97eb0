#!lua flags=no-cluster,allow-oom
-- Cancels a job, if the gateway was certainly not called: `scheduled`, `queued` (reserved or not) and `retrying`
-- (every call so far was certainly refused). One of which a call may have been made and not settled is asked about, and
-- cancelled if the gateway surely doesn't have it; but nobody is told that it was (rule 22). The id stays on its lane
-- until `take` drops it.
--
-- ARGV  id, retention (ms)
-- Returns 'cancelled' (now or before), 'late' (it is being sent, or has ended otherwise), 'gone', 'malformed', 'newer'
-- Keeps rule 1: `finish` takes the id out of `due`.
local id, retention = ARGV[1], tonumber(ARGV[2])
local now = NOW
local job, why = read(id)
if why then return why end
if job.state == 'cancelled' then
  redis.pcall('HINCRBY', job_key(id), 'asked', 1)   -- something for a WAIT to confirm
  return 'cancelled'
end
if FINAL[job.state] or job.state == 'sending' then return 'late' end
local how = ended(job, now)
end_uncalled(job, how or 'cancelled', now, retention)
return (job.asking or how == 'expired') and 'late' or 'cancelled'
