#!lua flags=no-cluster,no-writes
-- What a job's timeline is made of: its record without the message, the number and the keys.
--
-- ARGV  id
-- Returns {} or {now (ms), when its batch was cancelled (ms) or 0, in doubt (1 or 0), when it is due (ms) or -1, field,
--         value, ...}; without fields: not a record
local id = ARGV[1]
local SHOWN = {'v', 'state', 'lane', 'batch', 'at', 'done', 'expires', 'attempts', 'took', 'ask', 'losses', 'log', 'epoch',
               'error', 'message_id', 'campaign_id', 'campaign_status'}
if redis.call('EXISTS', job_key(id)) == 0 then return {} end
local due = redis.pcall('ZSCORE', DUE, id)
local answer = {NOW, 0, 1, tonumber(type(due) == 'string' and due or -1)}
local values = redis.pcall('HMGET', job_key(id), unpack(SHOWN))
for i, name in ipairs(values.err and {} or SHOWN) do
  if values[i] then answer[#answer + 1] = name; answer[#answer + 1] = values[i] end
  if values[i] and name == 'batch' then answer[2] = stopped(values[i]) or 0 end
  if name == 'epoch' and values[i] == tostring(EPOCH.number) then answer[3] = 0 end
end
return answer
