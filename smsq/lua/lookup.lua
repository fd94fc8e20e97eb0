#!lua flags=no-cluster,no-writes
-- Looks a job up by its id, messageId or campaignId.
--
-- ARGV  'job' | 'message' | 'campaign', id
-- Returns {} or {id, now, 1 if its batch is cancelled else 0, field, value, ...}
local kind, id = unpack(ARGV)
if kind ~= 'job' then
  local key, field = bucket(kind, id)
  id = redis.call('HGET', key, field)
  if not id then return {} end
end
local fields = redis.call('HGETALL', job_key(id))
if #fields == 0 then return {} end
local batch = redis.call('HGET', job_key(id), 'batch')
local answer = {id, clock(), batch and redis.call('HEXISTS', batch_key(batch), 'cancelled') or 0}
for _, value in ipairs(fields) do answer[#answer + 1] = value end
return answer
