#!lua flags=no-cluster,allow-oom
-- Begins taken jobs: `queued` -> `sending`, with a lease in `due` and the caller's nonce as fencing token. From here
-- on the gateway may have the message.
--
-- The nonce is the caller's choice, never a counter (rule 6), and is of an epoch: from an older one it begins nothing
-- (rule 7). A repeat with the same nonce answers the same, with what is left of the lease (rule 7); after its settle
-- the record's last nonce begins nothing again (rule 10): such a repeat comes late, and its sender has long given up. A
-- job without an entry in `due` is still, or again, on a lane: refused (rule 3). A job in doubt is asked about before
-- anyone calls for it (rule 18). One that has expired or was cancelled with its batch ends here, uncalled. A record
-- that can't be used ends too. An id that comes more than once in a call (a worker may hold copies) is begun once: the
-- copies have one nonce. What a pause or a gate holds back goes back to its lane (rule 5).
--
-- ARGV  nonce, its epoch, lease (ms), look again (ms), retention (ms), worker, tokens (1, or 0: campaign names have
--       none, and jobs of the same number and text are told apart by `twins`), the number that is called for all of them
--       ('' = each job's own; the record keeps it, as the gateway is asked by it), traces (1 if the caller wants to know
--       them, else 0), id...
-- Returns for each id one of
--   {'begun', message, lane, attempts, lease left (ms), left until it expires (ms, or -1: never), now (ms), waited (ms
--    since it was accepted, or since its moment), rules, on_unknown, 1 if an earlier call isn't settled else 0, put off (ms
--    since the gateway did so first, or 0), trace or ''}
--   {'expired'} {'cancelled'}       it ended, now or before
--   {'asking'}                      it is asked about first
--   {'paused'}                      it is on its lane again
--   {'epoch'}                       the nonce is of another epoch; nothing changed
--   {'final'} {'gone'} {'waiting'} {'taken'} {'newer'}  not ours to begin; nothing changed
--   {'malformed'}                   it ended as failed, or was parked; one that is being sent is left to its lease
-- Keeps rule 1: a begun job's entry in `due` moves to the end of its lease; an ended one's goes.
local nonce, epoch, lease, again, retention, worker, tokens, called, traces = unpack(ARGV, 1, 9)
lease, retention = tonumber(lease), tonumber(retention)
local now = NOW
local stale = tonumber(epoch) ~= EPOCH.number
local circuit_probe, circuit_permit = closed(CIRCUIT)
local worker_probe, worker_permit = closed(worker_gate(worker))

local lanes_paused = {}
local function held_back(job)
  local lane = job.lane
  if lanes_paused[lane] == nil then lanes_paused[lane] = paused(lane) end
  return lanes_paused[lane] or circuit_probe and circuit_permit ~= job.id or worker_probe and worker_permit ~= job.id
end

local function reject(id)
  local found = lenient('HMGET', job_key(id), 'state', 'batch', 'key')
  if found.err then return park(id, 'not a hash') end
  local state, batch, key = unpack(found)
  if state == 'sending' then return end
  if FINAL[state] then return in_due('ZREM', id) end
  redis.call('HSETNX', job_key(id), 'v', VERSION)
  finish({id = id, state = OPEN[state] and state or nil, batch = batch or '', key = key or nil, ask = true}, 'failed', now, retention,
         'error', '{"reason":"malformed record"}')
end

local function begin(id)
  if stale then return {'epoch'} end
  local job, why = read(id)
  if why == 'newer' then
    in_due('ZADD', 'XX', now + again, id)
    return {'newer'}
  end
  if why == 'malformed' then reject(id) end
  if why then return {why} end
  if FINAL[job.state] then
    if job.state ~= 'expired' and job.state ~= 'cancelled' then return {'final'} end
    redis.call('HSET', job_key(id), 'state', job.state)   -- something for a WAIT to confirm: Celery is told this end
    return {job.state}
  end
  local due = in_due('ZSCORE', id)
  if not due then return {'waiting'} end
  local attempts, left, message = job.attempts, lease, nil
  if job.state == 'sending' and job.token == nonce and not job.asking then
    left = due - now
    message = read_message(job_key(id))
    redis.call('HSET', job_key(id), 'token', nonce)   -- something for a WAIT to confirm
  elseif job.state ~= 'queued' or job.token == nonce then
    return {'taken'}
  else
    local how = ended(job, now)
    if how then
      end_uncalled(job, how, now, retention)
      return {job.asking and 'asking' or how}
    end
    if job.doubt then
      if tokens == '0' then register_twin(job, read_message(job_key(id))) end
      note(job, now, 'doubt', 'Redis may have forgotten a call')
      start_asking(job, now, job.at, now, 'queued')
      return {'asking'}
    end
    if held_back(job) then
      to_lane(job.lane, job.batch, {id}, true)
      return {'paused'}
    end
    if (job.called or '') ~= called then
      if job.ask then   -- a call that isn't settled went to another number: it is asked about while that is known
        start_asking(job, now, job.ask.first, job.ask.last, 'queued')
        return {'asking'}
      end
      if called == '' then redis.call('HDEL', job_key(id), 'called')
      else redis.call('HSET', job_key(id), 'called', called) end
    end
    message = read_message(job_key(id))
    attempts = attempts + 1
    set_state(job, 'sending', now, 'token', nonce, 'attempts', attempts)
    schedule(id, now + lease)
    if tokens == '0' then register_twin(job, message) end
  end
  return {'begun', message, job.lane, attempts, left, job.expires and math.max(0, job.expires - now) or -1, now,
          now - math.max(job.at, job.send_at or 0), job.rules or '', job.on_unknown or '', job.ask and 1 or 0,
          job.put_off and now - job.put_off or 0, traces == '1' and redis.call('HGET', job_key(id), 'trace') or ''}
end

-- A probe that calls nobody (it has ended, or is asked about) gives its permit back to the next. Not one that another
-- has begun: its call may be out.
local function give_back(key, probe_at, permit, id)
  if probe_at and permit == id then
    redis.call('HSET', key, 'probe_at', now)
    redis.call('HDEL', key, 'permit')
  end
end

local answers, seen = {}, {}
for i = 10, #ARGV do
  local answer = seen[ARGV[i]] and {'taken'} or begin(ARGV[i])
  seen[ARGV[i]] = true
  if answer[1] ~= 'begun' and answer[1] ~= 'epoch' and answer[1] ~= 'taken' then
    give_back(CIRCUIT, circuit_probe, circuit_permit, ARGV[i])
    give_back(worker_gate(worker), worker_probe, worker_permit, ARGV[i])
  end
  answers[#answers + 1] = answer
end
return answers
