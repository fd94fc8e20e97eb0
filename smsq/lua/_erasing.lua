-- Erasing a person from the record of a job that has ended: number, text and all that either could be guessed from. Its
-- ids, state and times stay. Whatever is heard of the job later, `erased` keeps the person out of it: its number (`accept`)
-- and a moderator's words (`followed`).
local DECLINED = '{"reason":"declined by a moderator"}'

-- The content's hash: of a known text, a number is found by trying them all. '-' fits no content any more, '?' any.
local function erase_content(job, becomes)
  local key = job.key and 'smsq:key:' .. job.key
  local owned = key and lenient('GET', key)
  if type(owned) == 'string' and owned:match('^%S+') == job.id then
    redis.call('SET', key, job.id .. ' ' .. becomes, 'KEEPTTL')
  end
  if job.twin then redis.pcall('SREM', 'smsq:twins:' .. job.twin, job.id) end
end

-- `why`: 'forgotten', by an operator, or 'erased', because its time had come. Only then a caller who comes with the job's
-- key is still given the job, whatever the content.
local function erase_person(job, why)
  local key = job_key(job.id)
  erase_content(job, why == 'forgotten' and '-' or '?')
  redis.call('HDEL', key, 'recipient', 'called', 'twin', unpack((message_fields(key))))
  if why == 'forgotten' then redis.call('HDEL', key, 'log') end
  redis.call('HSET', key, 'erased', why)
  if job.state == 'failed' and job.message_id then   -- what a moderator said of the text
    redis.call('HSET', key, 'error', DECLINED)
  end
end
