#!lua flags=no-cluster,no-writes
-- Looks a job up by its id, messageId or campaignId.
--
-- ARGV  'job' | 'message' | 'campaign', id
-- Returns {} or {id, now, when its batch was cancelled (ms) or 0, in doubt (1 or 0), field, value, ...}; without fields:
-- not a record
local kind, id = unpack(ARGV)
if kind ~= 'job' then
  local key, field = bucket(kind, id)
  id = lenient('HGET', key, field)
  if type(id) ~= 'string' then return {} end
end
if redis.call('EXISTS', job_key(id)) == 0 then return {} end
return look(id, NOW)
