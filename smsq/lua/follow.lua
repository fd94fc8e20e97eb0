#!lua flags=no-cluster,allow-oom
-- Takes sent messages of which the gateway is to be asked what became of them. Each is moved ahead: another worker
-- takes it if this one never writes an answer down (`followed`). While the circuit or the worker's own gate is closed,
-- nothing is given out.
--
-- ARGV  entries to look at at most, campaigns to give at most, messages to give at most, lease of a question (ms), 1 if
--       delivery is wanted else 0, worker
-- Returns {looked at, {id, campaignId, its number, ...}, {id, messageId, ...}}: those that wait for a moderator, and
--         those whose delivery is open
-- Keeps rule 1: it moves no job.
local limit, campaigns, messages, lease, wanted, worker = unpack(ARGV)
campaigns, messages, lease = tonumber(campaigns), tonumber(messages), tonumber(lease)
local now = NOW
local moderated, delivered = {}, {}
local AGAIN = 5000   -- ms until what there is no room for, and what only a newer worker understands, is looked at again

local function put(job)
  redis.call('HSET', job_key(job.id), 'follow', follow_field(job.asks, job.till, now))
  redis.call('ZADD', FOLLOW, now + lease, job.id)
end

local function look_at(id)
  local job, why = following(id)
  if why then return redis.call('ZADD', FOLLOW, now + AGAIN, id) end
  if not job or not (job.moderated or wanted == '1') then return stop_following(id) end
  if job.till <= now then
    if job.moderated then note(job, now, 'moderation', 'nobody could say for two days what became of it') end
    return stop_following(id)
  end
  if job.moderated and campaigns > 0 then
    campaigns = campaigns - 1
    put(job)
    for _, value in ipairs({id, job.campaign_id, job.recipient}) do moderated[#moderated + 1] = value end
  elseif not job.moderated and messages > 0 then
    messages = messages - 1
    put(job)
    for _, value in ipairs({id, job.message_id}) do delivered[#delivered + 1] = value end
  else
    redis.call('ZADD', FOLLOW, now + AGAIN, id)
  end
end

if closed(CIRCUIT) or closed(worker_gate(worker)) then return {0, moderated, delivered} end
local ids = redis.call('ZRANGE', ours(FOLLOW, 'zset'), '-inf', now, 'BYSCORE', 'LIMIT', 0, limit)
for _, id in ipairs(ids) do look_at(id) end
return {#ids, moderated, delivered}
