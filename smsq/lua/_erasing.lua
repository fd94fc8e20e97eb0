-- Erasing a person from the record of a job that has ended: number, text and all that either could be guessed from. Its
-- ids, state and times stay. Whatever is heard of the job later, `erased` keeps the person out of it: its number (`accept`)
-- and a moderator's words (`followed`).

-- The content's hash: of a known text, a number is found by trying them all. '-' fits no content any more, '?' any.
local function erase_content(job, becomes)
  local key = job.key and 'smsq:key:' .. job.key
  local owned = key and lenient('GET', key)
  if type(owned) == 'string' and owned:match('^%S+') == job.id then
    redis.call('SET', key, job.id .. ' ' .. becomes, 'KEEPTTL')
  end
  if job.twin then redis.pcall('SREM', 'smsq:twins:' .. job.twin, job.id) end
end

-- An error without what the gateway, or a moderator, said of the message: it may repeat any part of it.
local function without_words(given)
  local whole, found = pcall(cjson.decode, given)
  if not whole or type(found) ~= 'table' then return '{"reason":"erased"}' end
  return cjson.encode({reason = found.reason, code = found.code})
end

-- `why`: 'forgotten', by an operator, or 'erased', because its time had come. Only then a caller who comes with the job's
-- key is still given the job, whatever the content.
local function erase_person(job, why)
  local key = job_key(job.id)
  erase_content(job, why == 'forgotten' and '-' or '?')
  local why_not = redis.call('HGET', key, 'error')
  if why_not then redis.call('HSET', key, 'error', without_words(why_not)) end
  redis.call('HDEL', key, 'recipient', 'called', 'twin', unpack((message_fields(key))))
  if why == 'forgotten' then redis.call('HDEL', key, 'log') end
  redis.call('HSET', key, 'erased', why)
end
