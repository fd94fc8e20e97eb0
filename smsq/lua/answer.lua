#!lua flags=no-cluster,allow-oom
-- What the gateway answered to questions. Only an answer ends a doubt (rule 18).
--
-- Found is believed from anyone who asked, unless another job owns the message. Absence is believed from the holder of
-- the question's token (rule 12) in its own epoch, if it was evidence when the question was put (see `take_due`), and
-- twice, some seconds apart. Then the job is called again, or ends uncalled. Without tokens in campaign names nothing is
-- decided while a twin is unsettled, and the only message that no other job owns is ours (rule 16).
--
-- ARGV  retention (ms), lease (ms), settling time (ms), limit of asking (ms), losses at most, age at which a job that
--       was put off again and again fails (ms), then for each job a JSON object:
--   id, token (the question's), epoch, word: found | absent | near | empty | cant_tell, reason
--   found, near (absent, but for messages that may be this one): recipient, matches: [{message_id, campaign_id,
--   campaign_status} as strings, oldest first], proved (true: absent, if all of these are other jobs'); follow,
--   follow_for (as in `settle`)
-- Returns for each job one of
--   'sent'      found
--   'again'     surely absent: it is on its lane again
--   'expired' 'cancelled' 'failed'   surely absent, and it ended so
--   'later'     asked again later
--   'unknown'   the limit is over: a person must decide
--   'stale'     the question isn't the job's any more, or there is no such job; nothing was written
-- Keeps rule 1: every branch ends the job, schedules it, or puts it on its lane.
local retention, lease, settling, limit, losses, give_up = unpack(ARGV, 1, 6)
retention, lease, settling = tonumber(retention), tonumber(lease), tonumber(settling)
limit, losses, give_up = tonumber(limit), tonumber(losses), tonumber(give_up)
local now = NOW
local apart = math.min(APART, settling / 4)

-- Whether another job of the same number and text isn't settled; those that are, are forgotten.
local function has_twin(job)
  if not job.twin then return false end
  for _, id in ipairs(redis.call('SMEMBERS', 'smsq:twins:' .. job.twin)) do
    local other = id ~= job.id and read(id)
    if other and (other.state == 'sending' or other.state == 'unknown' or other.ask) then return true end
    if id ~= job.id then redis.call('SREM', 'smsq:twins:' .. job.twin, id) end
  end
  return false
end

local function unowned(job, matches)
  local free = {}
  for _, match in ipairs(matches) do
    local key, field = bucket('message', match.message_id)
    local owner = lenient('HGET', key, field)
    if type(owner) ~= 'string' or owner == job.id then free[#free + 1] = match end
  end
  return free
end

local function later(job)
  local ask = job.ask
  if now - ask.from >= limit then
    local why = cjson.encode({reason = 'the gateway could not say what became of the call: ' .. (ask.why or '')})
    note(job, now, 'unknown', 'asking gave up')
    finish(job, 'unknown', now, retention, 'error', why)
    return 'unknown'
  end
  local pause = math.min(LONGEST_PAUSE, FIRST_PAUSE * 2 ^ math.min(ask.asks, 20))
  local over = last_call(job, lease) + settling
  if ask.absent then
    pause = apart
  elseif ask.empty then
    pause = CANARY_PAUSE
  elseif now < over then
    pause = math.min(pause, over - now)
  end
  ask.token = nil
  save_ask(job)
  schedule(job.id, now + pause)
  return 'later'
end

local function absent(job)
  local becomes = job.ask.becomes
  local how = becomes == 'queued' and ended(job, now) or becomes
  note(job, now, 'absent', 'the gateway surely doesn\'t have it')
  if how == 'queued' and job.losses >= losses then
    put_aside(job.id, 'its workers died during the call, ' .. job.losses .. ' times')
    how = 'failed'
    redis.call('HSET', job_key(job.id), 'error', '{"reason":"its workers died during the call, again and again"}')
  end
  if how == 'queued' and job.put_off and now - job.put_off >= give_up then
    how = 'failed'
    redis.call('HSET', job_key(job.id), 'error', '{"reason":"given up: each answer was lost, and none was accepted"}')
  end
  redis.call('HDEL', job_key(job.id), 'ask')
  redis.call('HSET', job_key(job.id), 'epoch', EPOCH.number)
  if how ~= 'queued' then
    finish(job, how, now, retention)
    return how
  end
  job.ask, job.asking, job.doubt = nil, nil, false
  set_state(job, 'queued', now, 'put_off', job.put_off or now)
  to_lane(job.lane, job.batch, {job.id}, true)
  return 'again'
end

local function answer_one(a)
  local job = read(a.id)
  if not job then return 'stale' end
  local matches = a.matches and unowned(job, a.matches) or {}
  -- They are other jobs'. But a name with this job's token is its own, whatever the index says.
  if a.matches and #matches == 0 then
    a.word = a.proved and (job.twin or a.word == 'near') and 'absent' or 'cant_tell'
  end
  local twin = has_twin(job)
  if a.word == 'found' and #matches > 0 and not twin and (not job.twin or #matches == 1) and job.state ~= 'sent'
     and not job.message_id then
    local found = matches[1]
    found.recipient, found.follow, found.follow_for = a.recipient, a.follow, a.follow_for
    note(job, now, 'found', #matches > 1 and #matches .. ' messages of this job' or 'the gateway has it')
    return accept(job, found, now, retention, job.attempts) == 'settled' and 'sent' or 'stale'
  end
  if not job.asking or job.ask.token ~= a.token or a.epoch ~= EPOCH.number then return 'stale' end
  local ask = job.ask
  ask.why = a.reason ~= '' and a.reason or 'not found, which alone proves nothing'
  note(job, now, 'asked', (a.word == 'absent' or a.word == 'empty') and 'not found' or ask.why)
  if a.word == 'empty' then ask.counts = false end
  if a.word ~= 'absent' and a.word ~= 'empty' or twin then
    ask.absent, ask.empty = nil, nil
    return later(job)
  end
  if not ask.counts then
    ask.absent, ask.empty = nil, now >= last_call(job, lease) + settling or nil
    return later(job)
  end
  ask.empty = nil
  if ask.absent and now - ask.absent >= apart then return absent(job) end
  ask.absent = ask.absent or now
  return later(job)
end

local answers = {}
for i = 7, #ARGV do answers[#answers + 1] = answer_one(cjson.decode(ARGV[i])) end
return answers
