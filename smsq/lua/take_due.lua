#!lua flags=no-cluster,allow-oom
-- The dispatcher's look: takes up to `limit` entries of `due` whose moment has come.
--
-- A reservation that was never begun goes back to the front of its lane; a schedule or a retry that came due goes to
-- its end. A lease that ran out is a worker that died in mid-call: the gateway may have the message, so the job is
-- never called again unasked; it ends `unknown` (asking takes this place), or goes back once to its lane, if its caller
-- prefers two to none. An entry moves, it is never only removed (rule 4); one without a usable record is parked.
--
-- ARGV  limit, look again (ms), retention (ms)
-- Returns {ms until the next entry is due (-1: none), looked at, id, what, id, what, ...} for those that a person may
-- want to hear of: what is 'unknown' | 'resend' | 'parked'
-- Keeps rule 1.
local limit, again, retention = unpack(ARGV, 1, 3)
local now = clock()
local answer = {-1, 0}
local LOST = '{"reason":"the worker was lost during the call"}'

local function tell(id, what) answer[#answer + 1] = id; answer[#answer + 1] = what end

local ids = redis.call('ZRANGE', DUE, '-inf', now, 'BYSCORE', 'LIMIT', 0, limit)
for _, id in ipairs(ids) do
  local job, why = read(id)
  if why == 'newer' then
    schedule(id, now + again)
  elseif why then
    park(id, why)
    tell(id, 'parked')
  elseif FINAL[job.state] then
    redis.call('ZREM', DUE, id)
  elseif job.state == 'sending' and job.on_unknown == 'resend' and not ended(job, now) then
    set_state(job, 'queued', now, 'on_unknown', 'resent', 'error', LOST)
    to_lane(job.lane, job.batch, {id}, true)
    tell(id, 'resend')
  elseif job.state == 'sending' then
    finish(job, 'unknown', now, retention, 'error', LOST)
    tell(id, 'unknown')
  else
    local how = ended(job, now)
    if how then
      finish(job, how, now, retention)
    else
      local reserved = job.state == 'queued'
      if not reserved then set_state(job, 'queued', now) end
      to_lane(job.lane, job.batch, {id}, reserved)
    end
  end
end
answer[2] = #ids
local first = redis.call('ZRANGE', DUE, 0, 0, 'WITHSCORES')
if first[2] then answer[1] = math.max(0, tonumber(first[2]) - now) end
return answer
