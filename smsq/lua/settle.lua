#!lua flags=no-cluster,allow-oom
-- Settles begun jobs: each ends, or waits for its next try, or goes back to its lane, or is asked about.
--
-- "Sent, with these ids" is believed whoever says it, unless another job owns the messageId; everything else only from
-- the one whose token the record holds, in the epoch in which it was given (rule 11). A job of which an earlier call
-- isn't settled doesn't end by what a later one says (rule 15). Repeatable: the second time answers as the first.
--
-- ARGV  retention (ms), lists' delay (ms), worker, failures in a row that close the circuit, then for each job a JSON object
--   id, token, epoch, to: sent | failed | unknown | expired | cancelled | retrying | scheduled | queued | sending (ask the
--   gateway),
--   calls (made since begin), took (ms from begin to the outcome), ago (ms since begin)
--   sent: message_id, campaign_id, campaign_status (strings: Lua's numbers hold 53 bits), recipient;
--         follow, follow_for (ms; only if its delivery is wanted, see `_following`)
--   others: code (optional), error (JSON text)     retrying: delay (ms), resends (true: the caller's wish to resend is
--   used up)     scheduled: at (unix ms)
--   heard: well | failing | account | slow | keyless (with said: the reason, wait in ms, and with failing called: ms since the call
--   began, or nothing): what the gates are to know of the last call
-- Returns for each job one of
--   'settled'   written, now or by an earlier run of the same
--   'stale'     the record holds another token, or has moved on; nothing was written
--   'gone'      there is no record, or none that can be used
--   'owned'     another job owns the messageId; nothing was written
--   'twice'     the job was sent before, under other ids; the first ids stay
-- and at last 1 if the circuit or the worker's own gate is closed, else 0
-- Keeps rule 1: every branch ends the job, schedules it, or puts it on its lane.
local retention, delay, worker, after = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3], tonumber(ARGV[4])
local now = NOW

local function sent(job, s)
  local attempts = job.attempts
  if job.state == 'sending' and job.token == s.token then attempts = attempts - 1 + s.calls end
  local fresh = job.state ~= 'sent' and not job.message_id
  local word = accept(job, s, now, retention, attempts)
  if word == 'settled' and fresh then
    if s.epoch == EPOCH.number then new_canary(job.id, now - s.ago, delay) end
    return word, true
  end
  return word
end

local function holder(job, s)
  if job.token ~= s.token or s.epoch ~= EPOCH.number then return 'stale' end
  if job.state ~= 'sending' or job.asking then
    redis.call('HSET', job_key(job.id), 'token', s.token)   -- something for a WAIT to confirm
    return (job.state == s.to or job.asking and job.ask.said == s.to) and 'settled' or 'stale'
  end
  local extra = {'attempts', job.attempts - 1 + s.calls, 'took', s.took}
  local function add(name, value) extra[#extra + 1] = name; extra[#extra + 1] = value end
  if s.error then add('error', s.error) end
  if s.code then add('code', s.code) end
  if (s.to == 'retrying' or s.to == 'queued' and s.error and s.heard ~= 'keyless') and not job.put_off then add('put_off', now) end
  if s.calls > 0 then
    local code = s.code and string.format('code %d: ', s.code) or ''
    note(job, now, s.to == 'sending' and 'unsettled' or s.to,
         string.format('calls=%d took=%d %s%s', s.calls, s.took, code, s.reason or ''))
  elseif s.to == 'scheduled' then
    note(job, now, 'scheduled', 'the gateway takes no moment that is so near')
  end
  if s.resends then
    unsettle(job, now - s.ago, now)
    add('on_unknown', 'resent')
    add('ask', cjson.encode(job.ask))
  end
  if s.to == 'sending' then
    unsettle(job, now - s.ago, now)
    job.ask.said = s.to
    redis.call('HSET', job_key(job.id), unpack(extra))
    start_asking(job, now, now - s.ago, now, 'queued')
  elseif s.to == 'unknown' then
    finish(job, s.to, now, retention, unpack(extra))
  elseif FINAL[s.to] then
    if job.ask then job.ask.said = s.to end
    end_uncalled(job, s.to, now, retention, unpack(extra))
  elseif s.to == 'queued' then
    set_state(job, 'queued', now, unpack(extra))
    -- To the end, if the gateway refused the account: should it be this job alone, others are probed before it.
    to_lane(job.lane, job.batch, {job.id}, not s.error)
  else
    if s.to == 'scheduled' then add('send_at', s.at) end
    set_state(job, s.to, now, unpack(extra))
    schedule(job.id, s.to == 'retrying' and now + s.delay or s.at)
  end
  return 'settled', true
end

local answers, well = {}, false
for i = 5, #ARGV do
  local s = cjson.decode(ARGV[i])
  local job = read(s.id)
  local word, fresh = 'gone', false
  if job and s.to == 'sent' then
    word, fresh = sent(job, s)
  elseif job then
    word, fresh = holder(job, s)
  end
  answers[#answers + 1] = word
  if fresh and s.heard and not (well and s.heard == 'well') then
    hear(s, worker, after, now)
    well = s.heard == 'well'
  end
end
answers[#answers + 1] = (closed(CIRCUIT) or closed(worker_gate(worker))) and 1 or 0
return answers
