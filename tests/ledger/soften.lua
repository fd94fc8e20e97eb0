#!lua flags=allow-oom
-- The real clock's progress during an example decides nothing: what the scripts put off for seconds comes one unit later,
-- and what comes in the same unit comes at the same moment, so that no order depends on milliseconds.
--
-- ARGV  a unit (ms), then the keys of gates
local unit = tonumber(ARGV[1])
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local first = {}
local due = redis.call('ZRANGE', 'smsq:due', 0, -1, 'WITHSCORES')
for i = 1, #due, 2 do
  local at = tonumber(due[i + 1])
  if at > now and at < now + unit / 2 then at = now + unit end
  local units = math.ceil((at - now) / unit)
  first[units] = first[units] or at
  redis.call('ZADD', 'smsq:due', first[units], due[i])
end
for i = 2, #ARGV do
  local probe_at = tonumber(redis.call('HGET', ARGV[i], 'probe_at') or 0)
  if probe_at > now and probe_at < now + unit / 2 then redis.call('HSET', ARGV[i], 'probe_at', now + unit) end
end
