#!lua flags=no-cluster,allow-oom
-- Calls again for jobs that failed, or are unknown: an operator's word. It ends no doubt (rule 18): a job of which Redis
-- may have forgotten a call is asked about first. Of an unknown job the person decides that it is called again; but
-- whether it was called before stays open, for all that a later try says of itself (rule 15), for who cancels it (rule
-- 22) and for other jobs of its number and text (rule 16).
--
-- Nothing is final about it any more: record, idempotency key and batch lose their TTL (rule 21). Its attempts stay
-- counted; workers that died during its call are forgiven, and so is how long it was put off.
--
-- ARGV  nonce of this retry, 'failed' or 'unknown', id...
-- Returns for each id one of
--   'queued'    it is on its lane again, now or by an earlier run of the same
--   'asking'    the gateway is asked about it first
--   'expired' 'cancelled'   its time is over, or its batch was cancelled; nothing changed
--   'other'     it is in another state; nothing changed
--   'declined'   a moderator declined it; its text isn't kept; nothing changed
--   'forgotten' 'erased'   its text was erased, by an operator or because its time had come; nothing changed
--   'gone' 'malformed' 'newer'   there is no record, or none that can be used; nothing changed
-- Keeps rule 1: a final job is in neither, and goes on its lane once, or in `due`.
local nonce, from = ARGV[1], ARGV[2]
local now = NOW
local SEARCHED = 1000   -- ids of a lane, for one that has stayed there; `take` drops what is there twice (rule 2)

-- Whether a job's id has stayed on its lane: it was cancelled there, in doubt, and nobody could say.
local function stayed(job)
  local waiting = ours('smsq:lane:' .. job.lane .. ':' .. job.batch, 'list')
  return from == 'unknown' and redis.call('LPOS', waiting, job.id, 'MAXLEN', SEARCHED)
end

local function reopen(job)
  local key = job_key(job.id)
  local owned = job.key and lenient('GET', 'smsq:key:' .. job.key)
  redis.call('PERSIST', key)
  if type(owned) == 'string' and owned:match('^%S+') == job.id then redis.call('PERSIST', 'smsq:key:' .. job.key) end
  if job.batch ~= '' then redis.call('PERSIST', batch_key(job.batch)) end
  if job.twin then on_ours('SADD', 'smsq:twins:' .. job.twin, job.id) end
  redis.pcall('ZREM', ENDED .. from, job.id)
  redis.pcall('HDEL', 'smsq:parked', job.id)
  redis.call('HDEL', key, 'done', 'losses', 'put_off')
  redis.call('HSET', key, 'retried', nonce)
  job.losses = 0
end

local function retry(id)
  local job, why = read(id)
  if why then return why end
  local done, retried = unpack(redis.call('HMGET', job_key(id), 'done', 'retried'))
  if retried == nonce then
    redis.call('HSET', job_key(id), 'retried', nonce)   -- something for a WAIT to confirm
    return job.asking and 'asking' or 'queued'
  end
  if job.state ~= from then return 'other' end
  if job.message_id then return 'declined' end
  if redis.call('HEXISTS', job_key(id), 'm0') == 0 then
    return redis.call('HGET', job_key(id), 'erased') or 'malformed'
  end
  local how = ended(job, now)
  if how then return how end
  reopen(job)
  if job.doubt then
    note(job, now, 'retried', 'asked about first: Redis may have forgotten a call')
    start_asking(job, now, job.at, now, 'queued')
    return 'asking'
  end
  note(job, now, 'retried', 'it was ' .. from)
  if from == 'unknown' then
    unsettle(job, job.at, tonumber(done) or now)
    save_ask(job)
  end
  set_state(job, 'queued', now)
  if stayed(job) then
    ring(job.lane)
  else
    to_lane(job.lane, job.batch, {id})
  end
  return 'queued'
end

local answers = {}
for i = 3, #ARGV do answers[#answers + 1] = retry(ARGV[i]) end
return answers
