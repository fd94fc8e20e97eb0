#!lua flags=no-cluster,allow-oom
-- Settles begun jobs: each ends, or waits for its next try, or goes back to its lane.
--
-- "Sent, with these ids" is believed whoever says it, unless another job owns the messageId; everything else only from
-- the one whose token the record holds (rule 11). Repeatable: the second time answers as the first.
--
-- ARGV  retention (ms), then for each job a JSON object
--   id, token, to: sent | failed | unknown | expired | retrying | scheduled | queued, calls (made since begin)
--   sent: message_id, campaign_id, campaign_status (strings: Lua's numbers hold 53 bits), recipient
--   failed, unknown: code (optional), error (JSON text)     retrying: delay (ms), error, resends (true: the caller's
--   wish to resend is used up)     scheduled: at (unix ms)
-- Returns for each job one of
--   'settled'   written, now or by an earlier run of the same
--   'stale'     the record holds another token, or has moved on; nothing was written
--   'gone'      there is no record, or none that can be used
--   'owned'     another job owns the messageId; nothing was written
--   'twice'     the job was sent before, under other ids; the first ids stay
-- Keeps rule 1: every branch ends the job, schedules it, or puts it on its lane.
local retention = tonumber(ARGV[1])
local now = clock()

local function sent(job, s)
  local key, field = bucket('message', s.message_id)
  local owner = redis.pcall('HGET', key, field)
  if type(owner) == 'string' and owner ~= job.id then return 'owned' end
  if job.state == 'sent' then return job.message_id == s.message_id and 'settled' or 'twice' end
  local campaigns, campaign = bucket('campaign', s.campaign_id)
  redis.pcall('HSET', key, field, job.id)   -- pcall: an index that a foreign hand broke must not cost the outcome
  redis.pcall('HSET', campaigns, campaign, job.id)
  redis.call('PEXPIRE', key, retention)
  redis.call('PEXPIRE', campaigns, retention)
  local names = message_fields(job_key(job.id))
  if #names > 0 then redis.call('HDEL', job_key(job.id), unpack(names)) end
  redis.call('HDEL', job_key(job.id), 'error', 'code', 'rules', 'on_unknown', 'expires')
  local attempts = job.attempts
  if job.state == 'sending' and job.token == s.token then attempts = attempts - 1 + s.calls end
  finish(job, 'sent', now, retention, 'recipient', s.recipient, 'message_id', s.message_id, 'campaign_id',
         s.campaign_id, 'campaign_status', s.campaign_status, 'attempts', attempts)
  return 'settled'
end

local function holder(job, s)
  if job.token ~= s.token then return 'stale' end
  if job.state ~= 'sending' then return job.state == ending(job, s.to) and 'settled' or 'stale' end
  local extra = {'attempts', job.attempts - 1 + s.calls}
  local function add(name, value) extra[#extra + 1] = name; extra[#extra + 1] = value end
  if s.error then add('error', s.error) end
  if s.code then add('code', s.code) end
  if s.resends then add('on_unknown', 'resent') end
  if FINAL[s.to] then
    finish(job, s.to, now, retention, unpack(extra))
  elseif s.to == 'queued' then
    set_state(job, 'queued', now, unpack(extra))
    to_lane(job.lane, job.batch, {job.id}, true)
  else
    set_state(job, s.to, now, unpack(extra))
    schedule(job.id, s.to == 'retrying' and now + s.delay or s.at)
  end
  return 'settled'
end

local answers = {}
for i = 2, #ARGV do
  local s = cjson.decode(ARGV[i])
  local job = read(s.id)
  if not job then
    answers[#answers + 1] = 'gone'
  elseif s.to == 'sent' then
    answers[#answers + 1] = sent(job, s)
  else
    answers[#answers + 1] = holder(job, s)
  end
end
return answers
