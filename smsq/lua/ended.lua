#!lua flags=no-cluster,no-writes
-- A page of the jobs that failed, or are unknown; those that ended last come first.
--
-- ARGV  'failed' or 'unknown', ended at least so long ago (ms), ended at most so long ago (ms, '': no limit), jobs at
--       most, then '' and '' for the first page, or the answer's first two
-- Returns {where the next page begins: a job's id and when it ended (ms), both '' after the last page, {id, field, value,
--         ...}, ...}; of the record only what operators see, no fields where it is no hash
local state, older, newer, count, after, moment = unpack(ARGV)
count = tonumber(count)
local list = ENDED .. state
local SHOWN = {'v', 'state', 'lane', 'batch', 'at', 'done', 'attempts', 'error', 'message_id', 'campaign_id',
               'campaign_status', 'delivery'}

-- A job that has left the list since (it was retried) leaves others of its millisecond to be given again.
local start = older == '0' and 0 or redis.call('ZCOUNT', list, '(' .. NOW - older, '+inf')
if after ~= '' then
  local there = redis.call('ZSCORE', list, after) == moment
  start = there and redis.call('ZREVRANK', list, after) + 1 or redis.call('ZCOUNT', list, '(' .. moment, '+inf')
end
local oldest = newer == '' and -math.huge or NOW - newer
local found = redis.call('ZRANGE', list, start, start + count - 1, 'REV', 'WITHSCORES')
local answer = {'', ''}
for i = 1, #found, 2 do
  local id, at = found[i], found[i + 1]
  if tonumber(at) < oldest then
    answer[1], answer[2] = '', ''
    break
  end
  if #found == 2 * count then answer[1], answer[2] = id, at end
  local values = lenient('HMGET', job_key(id), unpack(SHOWN))
  local job = {id}
  for n, name in ipairs(SHOWN) do
    if values[n] then job[#job + 1] = name; job[#job + 1] = values[n] end
  end
  -- An entry may outlive its record.
  if values.err or values[2] == state then answer[#answer + 1] = job end
end
return answer
