#!lua flags=no-cluster,allow-oom
-- Writes down what the gateway said of messages after they were sent. It is believed from anyone who asked, if the
-- record still holds the id that was asked about and is followed: a decision, or a final delivery, never moves back.
--
-- A declined message is one that nobody will get: the job becomes `failed`, and keeps its ids.
--
-- ARGV  retention (ms), 1 if delivery is wanted else 0, ms until a first question about it, its longest pause (ms), ms
--       for which it is asked about once a moderator let it pass, then for each job a JSON object:
--   id, and of a campaign: campaign (its id, a string), word: waits | passed | declined, error (JSON text; declined)
--       or of a message: message (its id, a string), status ('' if the gateway doesn't know it), final
-- Returns for each job one of
--   'declined'   it has failed
--   'passed'     a moderator let it pass
--   'delivery'   its delivery is known, and final
--   'later'      it is asked about again
--   'stale'      this isn't asked any more; nothing was written
-- Keeps rule 1: `finish` finds a final job, and leaves it so.
local retention, wanted, first, longest, span = unpack(ARGV, 1, 5)
retention, first, longest, span = tonumber(retention), tonumber(first), tonumber(longest), tonumber(span)
local now = NOW

-- Unless somebody has hinted meanwhile to ask at once, or another worker may ask already.
local function later(job, from, most)
  local at, asks = tonumber(redis.call('ZSCORE', FOLLOW, job.id) or now), job.asks + 1
  redis.call('HSET', job_key(job.id), 'follow', follow_field(asks, job.till, job.last))
  if at > math.max(now, job.last + HINTED) then
    redis.call('ZADD', FOLLOW, now + math.min(most, from * 2 ^ math.min(asks, 20)), job.id)
  end
  return 'later'
end

local function passed(job)
  local key = job_key(job.id)
  redis.call('HSET', key, 'campaign_status', '2')
  note(job, now, 'passed', 'a moderator let it pass')
  count_followed(job.batch, 'moderation', -1)
  if wanted == '1' then
    redis.call('HSET', key, 'follow', follow_field(0, math.max(job.till, now + span), job.last))
    redis.call('ZADD', FOLLOW, now + first, job.id)
  else
    stop_following(job.id)
  end
  return 'passed'
end

local function declined(job, why)
  local whole = read(job.id)
  if not whole then return 'stale' end
  stop_following(job.id)
  count_followed(job.batch, 'moderation', -1)
  count_followed(job.batch, 'declined', 1)
  finish(whole, 'failed', now, retention, 'error', whole.erased and without_words(why) or why)
  for kind, number in pairs({message = job.message_id, campaign = job.campaign_id}) do
    keep_bucket(bucket(kind, number), retention)   -- the record lives longer now
  end
  return 'declined'
end

local function delivery(job, status, final)
  if status ~= '' and status ~= job.delivery then
    if job.delivery then count_followed(job.batch, 'delivery:' .. job.delivery, -1) end
    count_followed(job.batch, 'delivery:' .. status, 1)
    redis.call('HSET', job_key(job.id), 'delivery', status)
  end
  if not final then return later(job, first, longest) end
  stop_following(job.id)
  return 'delivery'
end

local function followed(a)
  local job = following(a.id)
  if not job then return 'stale' end
  if a.campaign then
    if not job.moderated or job.campaign_id ~= a.campaign then return 'stale' end
    if a.word == 'passed' then return passed(job) end
    if a.word == 'declined' then return declined(job, a.error) end
    return later(job, MODERATOR, MODERATOR_LONGEST)
  end
  if job.moderated or job.message_id ~= a.message then return 'stale' end
  return delivery(job, a.status, a.final)
end

ours(FOLLOW, 'zset')
local answers = {}
for i = 6, #ARGV do answers[#answers + 1] = followed(cjson.decode(ARGV[i])) end
return answers
