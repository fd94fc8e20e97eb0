#!lua flags=no-cluster,allow-oom
-- A step of erasing a person: looks through some keys for jobs of one number. What has ended loses number, text and all
-- that either could be guessed from; its ids, state and times stay. An idempotency key stays its job's, but no content
-- fits it any more: the same key can't send twice (rule 21).
--
-- A job that waits is cancelled only if that is wanted, as `cancel` does it. One of which a call may be out, or isn't
-- settled, keeps what it is sent or asked about by.
--
-- ARGV  cursor ('0' to begin), keys to look at, about, number (digits), 1 to cancel what waits else 0, retention (ms)
-- Returns {next cursor ('0': all were looked at), erased, of these cancelled, left that wait, left that are under way, left
--         that can't be used}
-- Keeps rule 1: only `finish` and `start_asking` move a job.
local cursor, count, number, cancels, retention = unpack(ARGV)
retention = tonumber(retention)
local HEAD = '{"recipient":"'   -- as `message.dump` writes it; it is in the first piece, whole
local erased, cancelled, waiting, under_way, unusable = 0, 0, 0, 0, 0

local function message_is_theirs(key, first)
  if first:sub(1, #HEAD) == HEAD then return first:sub(#HEAD + 1, #HEAD + #number + 1) == number .. '"' end
  local whole, sms = pcall(cjson.decode, read_message(key))
  return whole and type(sms) == 'table' and sms.recipient == number
end

local function theirs(key)
  local found = redis.pcall('HMGET', key, 'recipient', 'called', 'm0')
  if found.err then return false end
  return found[1] == number or found[2] == number or found[3] and message_is_theirs(key, found[3])
end

-- The content's hash: of a known text, a number is found by trying them all.
local function erase_content(job)
  local key = job.key and 'smsq:key:' .. job.key
  local owned = key and redis.pcall('GET', key)
  if type(owned) == 'string' and owned:match('^%S+') == job.id then
    redis.call('SET', key, job.id .. ' -', 'KEEPTTL')
  end
  if job.twin then redis.pcall('SREM', 'smsq:twins:' .. job.twin, job.id) end
end

local function erase(job)
  local key = job_key(job.id)
  erase_content(job)
  redis.call('HDEL', key, 'recipient', 'called', 'twin', 'log', unpack((message_fields(key))))
  if job.state == 'failed' and job.message_id then   -- what a moderator said of the text
    redis.call('HSET', key, 'error', '{"reason":"declined by a moderator"}')
  end
  erased = erased + 1
end

local function look_at(key)
  if not theirs(key) then return end
  local job, why = read(key:sub(#'smsq:job:' + 1))
  if why then
    unusable = unusable + 1
    return
  end
  local was = job.state
  if not FINAL[was] and was ~= 'sending' then
    local how = ended(job, NOW) or cancels == '1' and 'cancelled'
    if not how then
      waiting = waiting + 1
      return
    end
    end_uncalled(job, how, NOW, retention)
  end
  if not FINAL[job.state] then
    under_way = under_way + 1
    return
  end
  if job.state == 'cancelled' and was ~= 'cancelled' then cancelled = cancelled + 1 end
  erase(job)
end

local found = redis.call('SCAN', cursor, 'MATCH', 'smsq:job:*', 'COUNT', count)
for _, key in ipairs(found[2]) do look_at(key) end
return {found[1], erased, cancelled, waiting, under_way, unusable}
