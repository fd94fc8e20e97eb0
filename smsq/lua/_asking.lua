-- Settling by asking the gateway: what a job needs when a call that wasn't settled may have been made for it.
--
-- `ask`, a field of the record: first, last: the span (ms) in which such calls may have been made or have ended;
-- becomes: what the job is if the gateway surely doesn't have it ('queued': it is called, again); and while it is being
-- asked about (state `sending`): from: since when; asks: questions so far; token: the last question's (rule 12), with
-- counts: whether its "absent" is evidence; absent: when the first such answer came; empty: whether nothing was found
-- after the settling time, so that only a newer canary is missing.
local APART = 10000      -- between the two empty answers that absence takes; less with a short settling time
local FIRST_PAUSE = 2000 -- until the first question, doubled for each next one
local LONGEST_PAUSE = 600000
local CANARY_PAUSE = 5000

-- Registers a job among those that only number and text tell apart (rule 16): campaign names have no tokens. The gateway
-- replaces senders in silence.
local function register_twin(job, message)
  local whole, sms = pcall(cjson.decode, message)
  local twin = redis.sha1hex(whole and table.concat({tostring(sms.recipient), tostring(sms.text)}, '\n')
                             or message)
  redis.call('SADD', 'smsq:twins:' .. twin, job.id)
  redis.call('HSET', job_key(job.id), 'twin', twin)
end

-- Whether nobody may say that the gateway has no message of this job (rules 15, 18, 22).
local function uncertain(job) return job.doubt or job.ask ~= nil end

-- The span of unsettled calls grows by this one.
local function unsettle(job, first, last)
  local ask = job.ask or {}
  ask.first = math.min(ask.first or first, first)
  ask.last = math.max(ask.last or last, last)
  job.ask = ask
end

local function save_ask(job) redis.call('HSET', job_key(job.id), 'ask', cjson.encode(job.ask)) end

-- The job waits for an answer of the gateway, whatever it was before.
local function start_asking(job, now, first, last, becomes, why)
  unsettle(job, first, last)
  local ask = job.ask
  ask.becomes, ask.from, ask.asks = becomes, now, 0
  ask.token, ask.counts, ask.absent, ask.empty = nil, nil, nil, nil
  save_ask(job)
  if why then redis.call('HSET', job_key(job.id), 'error', why) end
  set_state(job, 'sending', now)
  job.asking = true
  schedule(job.id, now + FIRST_PAUSE)
end

-- Ends a job that hasn't been called since it was enqueued or last settled; one that may have been called before is
-- asked about first.
local function end_uncalled(job, how, now, retention, ...)
  if uncertain(job) then
    if select('#', ...) > 0 then redis.call('HSET', job_key(job.id), ...) end
    note(job, now, 'asking', how .. ' if the gateway doesn\'t have it')
    start_asking(job, now, job.at, job.doubt and now or job.ask.last, how)
  else
    finish(job, how, now, retention, ...)
  end
end

-- The last moment at which an unsettled call may have been made or have ended. From an earlier epoch anyone who had a
-- lease may still be calling (rule 19).
local function last_call(job, lease)
  return job.doubt and math.max(job.ask.last, EPOCH.started + lease) or job.ask.last
end

local function read_canary(key)
  local found = lenient('GET', key)
  local id, called, epoch, settled = tostring(type(found) == 'string' and found or ''):match('^(%S+) (%d+) (%d+) ?(%d*)$')
  if id and tonumber(epoch) == EPOCH.number then return id, tonumber(called), tonumber(settled) end
end

-- The canary: a message of the account that is known to exist, as new as can be and so old that lists must show it: its
-- job's id and when its call began, in this epoch's time. (The very newest would never be on a list that lags, in an
-- account that always sends.)
local function canary(delay)
  local id, called, settled = read_canary('smsq:canary:next')
  if id and NOW - settled >= delay then return id, called end
  return read_canary('smsq:canary')
end

-- Notes a message that was sent. One at a time waits until lists must show it, and then takes the canary's place.
local function new_canary(id, called, delay)
  local next_id, next_called, settled = read_canary('smsq:canary:next')
  if next_id and NOW - settled < delay then return end
  if delay == 0 then
    local _, newest = read_canary('smsq:canary')
    next_id, next_called = id, called
    if newest and newest >= called then return end
  else
    redis.call('SET', 'smsq:canary:next', string.format('%s %d %d %d', id, called, EPOCH.number, NOW))
  end
  if next_id then redis.call('SET', 'smsq:canary', string.format('%s %d %d', next_id, next_called, EPOCH.number)) end
end

-- Ends a job as sent, whoever says it; the ids are strings (Lua's numbers hold 53 bits); with `took`, where the call
-- was seen (ms). Another job's message is refused ('owned'), a second message of the same job told ('twice').
local function accept(job, given, now, retention, attempts)
  local key, field = bucket('message', given.message_id)
  local owner = lenient('HGET', key, field)
  if type(owner) == 'string' and owner ~= job.id then return 'owned' end
  if job.state == 'sent' or job.message_id then   -- also one that was sent, and declined by a moderator
    return job.message_id == given.message_id and 'settled' or 'twice'
  end
  local campaigns, campaign = bucket('campaign', given.campaign_id)
  redis.pcall('HSET', key, field, job.id)   -- pcall: an index that a foreign hand broke must not cost the outcome
  redis.pcall('HSET', campaigns, campaign, job.id)
  keep_bucket(key, retention)
  keep_bucket(campaigns, retention)
  redis.call('HDEL', job_key(job.id), 'error', 'code', 'rules', 'on_unknown', 'expires', 'epoch', 'losses', 'twin',
             unpack((message_fields(job_key(job.id)))))
  local extra = start_following(job, given, now)
  if given.took then extra = {'took', given.took, unpack(extra)} end
  if not job.erased then extra = {'recipient', given.recipient, unpack(extra)} end   -- who was forgotten stays so
  finish(job, 'sent', now, retention, 'message_id', given.message_id, 'campaign_id', given.campaign_id,
         'campaign_status', given.campaign_status, 'attempts', attempts, unpack(extra))
  return 'settled'
end
