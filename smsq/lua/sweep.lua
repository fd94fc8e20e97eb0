#!lua flags=no-cluster,allow-oom
-- The slow sweep: looks through some keys for jobs that nobody would ever look at again, because a foreign hand purged a
-- list or a set, and puts them back.
--
-- An open job is in `due`, or it is `queued` and on its lane (rule 1). Whether a long list holds an id costs as much as
-- the list is long; but ids wait in the order in which they came, nearly: only one that is older than the first of its
-- list is looked for.
--
-- A new round also forgets workers that nobody has heard of for a day.
--
-- ARGV  cursor (0 to begin), keys to look at, about
-- Returns {next cursor ('0': all were looked at), id, what, ...}: 'repaired' it is on its lane or in `due` again; 'parked'
--         it has no usable record
-- Keeps rule 1, and brings it back.
local answer = {}
local searches = 3

local function on_its_lane(job)
  local waiting = ours('smsq:lane:' .. job.lane .. ':' .. job.batch, 'list')
  local first = redis.call('LINDEX', waiting, 0)
  if not first then return false end
  if first == job.id then
    if not redis.call('LPOS', ours('smsq:lane:' .. job.lane, 'list'), job.batch) then
      redis.call('RPUSH', 'smsq:lane:' .. job.lane, job.batch)
      ring(job.lane)
    end
    return true
  end
  local head = read(first)
  if head and head.at <= job.at or searches == 0 then return true end
  searches = searches - 1
  return redis.call('LPOS', waiting, job.id) and true or false
end

local function tell(id, what) answer[#answer + 1] = id; answer[#answer + 1] = what end

local function look_at(id)
  if redis.call('ZSCORE', DUE, id) then return end
  local job, why = read(id)
  if why == 'newer' then
    return schedule(id, NOW)
  elseif why == 'malformed' then
    if redis.call('HEXISTS', 'smsq:parked', id) == 1 then return end
    park(id, why)
    return tell(id, 'parked')
  elseif not job or FINAL[job.state] then
    return
  elseif job.state ~= 'queued' then
    schedule(id, NOW)
  elseif on_its_lane(job) then
    return
  else
    to_lane(job.lane, job.batch, {id}, true)
  end
  redis.call('HINCRBY', 'smsq:counters', 'repaired', 1)
  tell(id, 'repaired')
end

-- Workers that nobody has heard of for a day: containers have another name each time.
local function forget_workers()
  local heard = redis.pcall('HGETALL', 'smsq:workers')
  for i = 1, heard.err and 0 or #heard, 2 do
    if tonumber(heard[i + 1]:match('^%d+') or 0) < NOW - 86400000 then redis.call('HDEL', 'smsq:workers', heard[i]) end
  end
end

if ARGV[1] == '0' then forget_workers() end
local found = redis.call('SCAN', ARGV[1], 'MATCH', 'smsq:job:*', 'COUNT', ARGV[2])
for _, key in ipairs(found[2]) do look_at(key:sub(#'smsq:job:' + 1)) end
return {found[1], unpack(answer)}
