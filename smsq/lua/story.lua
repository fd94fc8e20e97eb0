#!lua flags=no-cluster,no-writes
-- What a job's timeline is made of: its record without the message, the number and the keys; and the pauses that are
-- over, of its lane and of all.
--
-- ARGV  id
-- Returns {} or {now (ms), when its batch was cancelled (ms) or 0, in doubt (1 or 0), when it is due (ms) or -1,
--         {"<until, ms> <lane or all> <since, ms> <reason>", ...}, field, value, ...}; without fields: not a record
local id = ARGV[1]
local SHOWN = {'v', 'state', 'lane', 'batch', 'at', 'done', 'expires', 'attempts', 'took', 'ask', 'losses', 'log', 'epoch',
               'error', 'message_id', 'campaign_id', 'campaign_status', 'send_at', 'delivery', 'follow'}
if redis.call('EXISTS', job_key(id)) == 0 then return {} end
local due = lenient('ZSCORE', DUE, id)
local answer = {NOW, 0, 1, tonumber(type(due) == 'string' and due or -1), {}}
local values = lenient('HMGET', job_key(id), unpack(SHOWN))
local record = {}
for i, name in ipairs(SHOWN) do
  if values[i] then answer[#answer + 1] = name; answer[#answer + 1] = values[i] end
  record[name] = values[i] or nil
end
answer[2] = record.batch and stopped(record.batch) or 0
if record.epoch == tostring(EPOCH.number) then answer[3] = 0 end
local past = lenient('LRANGE', 'smsq:pause:past', 0, -1)
for _, pause in ipairs(past.err and {} or past) do
  local lane = pause:match('^%d+ (%S+)')
  if lane == 'all' or lane == record.lane then table.insert(answer[5], pause) end
end
return answer
