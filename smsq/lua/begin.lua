#!lua flags=no-cluster,allow-oom
-- Begins taken jobs: `queued` -> `sending`, with a lease in `due` and the caller's nonce as fencing token. From here
-- on the gateway may have the message.
--
-- The nonce is the caller's choice, never a counter (rule 6). A repeat with the same nonce answers the same, with what
-- is left of the lease (rule 7); after its settle the record's last nonce begins nothing again (rule 10): such a repeat
-- comes late, and its sender has long given up. A job without an entry in `due` is still, or again, on a lane: refused
-- (rule 3). A job that has expired or was cancelled with its batch ends here, uncalled. A record that can't be used
-- ends too.
--
-- ARGV  nonce, lease (ms), look again (ms), retention (ms), id...
-- Returns for each id one of
--   {'begun', message, lane, attempts, lease left (ms), left until it expires (ms, or -1: never), now (ms), age (ms),
--    rules, on_unknown}
--   {'expired'} {'cancelled'}       it ended, now or before
--   {'final'} {'gone'} {'waiting'} {'taken'} {'newer'}  not ours to begin; nothing changed
--   {'malformed'}                   it ended as failed, or was parked; one that is being sent is left to its lease
-- Keeps rule 1: a begun job's entry in `due` moves to the end of its lease; an ended one's goes.
local nonce, lease, again, retention = unpack(ARGV, 1, 4)
lease = tonumber(lease)
local now = clock()

local function reject(id)
  local found = redis.pcall('HMGET', job_key(id), 'state', 'batch', 'key')
  if found.err then return park(id, 'not a hash') end
  local state, batch, key = unpack(found)
  if state == 'sending' then return end
  if FINAL[state] then return redis.call('ZREM', DUE, id) end
  redis.call('HSETNX', job_key(id), 'v', VERSION)
  finish({id = id, state = OPEN[state] and state or nil, batch = batch or '', key = key or nil}, 'failed', now, retention,
         'error', '{"reason":"malformed record"}')
end

local function begin(id)
  local job, why = read(id)
  if why == 'newer' then
    redis.call('ZADD', DUE, 'XX', now + again, id)
    return {'newer'}
  end
  if why == 'malformed' then reject(id) end
  if why then return {why} end
  if FINAL[job.state] then
    return {(job.state == 'expired' or job.state == 'cancelled') and job.state or 'final'}
  end
  local due = redis.call('ZSCORE', DUE, id)
  if not due then return {'waiting'} end
  local attempts, until_lease = job.attempts, lease
  if job.state == 'sending' and job.token == nonce then
    until_lease = due - now
    redis.call('HSET', job_key(id), 'token', nonce)   -- something for a WAIT to confirm
  elseif job.state ~= 'queued' or job.token == nonce then
    return {'taken'}
  else
    local how = ended(job, now)
    if how then
      finish(job, how, now, retention)
      return {job.state == how and how or 'final'}
    end
    attempts = attempts + 1
    set_state(job, 'sending', now, 'token', nonce, 'attempts', attempts)
    schedule(id, now + lease)
  end
  return {'begun', read_message(job_key(id)), job.lane, attempts, until_lease,
          job.expires and math.max(0, job.expires - now) or -1, now, now - (job.at or now), job.rules or '',
          job.on_unknown or ''}
end

local answers = {}
for i = 5, #ARGV do answers[#answers + 1] = begin(ARGV[i]) end
return answers
