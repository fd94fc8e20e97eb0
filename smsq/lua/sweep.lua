#!lua flags=no-cluster,allow-oom
-- The slow sweep: looks through some keys for jobs that nobody would ever look at again, because a foreign hand purged a
-- list or a set, and puts them back.
--
-- An open job is in `due`, or it is `queued` and on its lane (rule 1). Of a long list only the head is looked at: ids wait
-- in the order in which they came, nearly, so that a job that is older than the head's last would be in it. What was
-- scheduled waits for its moment again.
--
-- Of a job that ended so long ago as a setting says, the number is erased, and the text if it is still there. Not of one
-- that is unknown: a person has to decide about it. Nor of what the gateway is asked by: the canary, and a message that
-- waits for a moderator.
--
-- A new round also forgets workers that nobody has heard of for a day.
--
-- ARGV  cursor (0 to begin), keys to look at, about, ms after a job's end at which its number is erased ('': never)
-- Returns {next cursor ('0': all were looked at), how many were erased, id, what, ...}: 'repaired' it is on its lane or in `due` again; 'parked'
--         it has no usable record
-- Keeps rule 1, and brings it back.
local answer = {}
local HEAD, BUDGET = 5000, 20000   -- ids looked at of a list, and of all of them

-- The ids at the head of a list; and, if these aren't all, the age from which on a job may be behind them.
local lists = {}
local function head_of(key)
  local found = lists[key]
  if not found then
    found = {ids = {}}
    local ids = BUDGET > 0 and redis.call('LRANGE', ours(key, 'list'), 0, HEAD - 1) or {}
    for _, id in ipairs(ids) do found.ids[id] = true end
    local last = #ids == HEAD and read(ids[HEAD])
    found.behind = BUDGET <= 0 and 0 or last and last.at or nil
    BUDGET = BUDGET - #ids
    lists[key] = found
  end
  return found
end

local function on_its_lane(job)
  local head = head_of('smsq:lane:' .. job.lane .. ':' .. job.batch)
  if not head.ids[job.id] then return head.behind ~= nil and job.at >= head.behind end
  if not on_ours('LPOS', 'smsq:lane:' .. job.lane, job.batch) then
    redis.call('RPUSH', 'smsq:lane:' .. job.lane, job.batch)
    ring(job.lane)
  end
  return true
end

local function tell(id, what) answer[#answer + 1] = id; answer[#answer + 1] = what end

local erase_after, erased = tonumber(ARGV[3]), 0
local canaries = {}
if erase_after then
  for _, key in ipairs({'smsq:canary', 'smsq:canary:next'}) do canaries[read_canary(key) or ''] = true end
end

local function erase_if_due(job)
  local done, recipient, first, follow, status =
    unpack(redis.call('HMGET', job_key(job.id), 'done', 'recipient', 'm0', 'follow', 'campaign_status'))
  if not (recipient or first) or (tonumber(done or nil) or NOW) > NOW - erase_after then return end
  if job.state == 'unknown' or canaries[job.id] or follow and status == '1' then return end
  erase_person(job, 'erased')
  erased = erased + 1
end

local function look_at(id)
  if in_due('ZSCORE', id) then return end
  local job, why = read(id)
  if why == 'newer' then
    return schedule(id, NOW)
  elseif why == 'malformed' then
    if on_ours('HEXISTS', 'smsq:parked', id) == 1 then return end
    park(id, why)
    return tell(id, 'parked')
  elseif not job then
    return
  elseif FINAL[job.state] then
    if erase_after then erase_if_due(job) end
    return follow_again(id, NOW)
  elseif job.state == 'scheduled' and not job.send_at then
    park(id, 'scheduled, and nobody knows for when')
    return tell(id, 'parked')
  elseif job.state ~= 'queued' then
    schedule(id, math.max(NOW, job.state == 'scheduled' and job.send_at or 0))
  elseif on_its_lane(job) then
    return
  else
    to_lane(job.lane, job.batch, {id}, true)
    head_of('smsq:lane:' .. job.lane .. ':' .. job.batch).ids[id] = true
  end
  tally('repaired')
  tell(id, 'repaired')
end

-- Workers that nobody has heard of for a day: containers have another name each time.
local function forget_workers()
  local heard = lenient('HGETALL', 'smsq:workers')
  for i = 1, heard.err and 0 or #heard, 2 do
    if tonumber(heard[i + 1]:match('^%d+') or 0) < NOW - 86400000 then redis.call('HDEL', 'smsq:workers', heard[i]) end
  end
end

-- What only people look at, and no script would find broken.
for key, kind in pairs({['smsq:parked'] = 'hash', ['smsq:counters'] = 'hash', ['smsq:workers'] = 'hash',
                        ['smsq:pause'] = 'hash', ['smsq:pause:past'] = 'list', [CIRCUIT] = 'hash', [PACE] = 'hash',
                        [FOLLOW] = 'zset', [ENDED .. 'failed'] = 'zset', [ENDED .. 'unknown'] = 'zset'}) do
  ours(key, kind)
end
if ARGV[1] == '0' then forget_workers() end
local found = redis.call('SCAN', ARGV[1], 'MATCH', 'smsq:job:*', 'COUNT', ARGV[2])
for _, key in ipairs(found[2]) do look_at(key:sub(#'smsq:job:' + 1)) end
return {found[1], erased, unpack(answer)}
