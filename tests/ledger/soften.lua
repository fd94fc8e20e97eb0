#!lua flags=allow-oom
-- What the scripts put off for seconds comes one unit later: the real clock's progress during an example decides nothing.
--
-- ARGV  a unit (ms), then the keys of gates
local unit = tonumber(ARGV[1])
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local soon = redis.call('ZRANGE', 'smsq:due', '(' .. now, now + unit / 2, 'BYSCORE')
for _, id in ipairs(soon) do redis.call('ZADD', 'smsq:due', now + unit, id) end
for i = 2, #ARGV do
  local probe_at = tonumber(redis.call('HGET', ARGV[i], 'probe_at') or 0)
  if probe_at > now and probe_at < now + unit / 2 then redis.call('HSET', ARGV[i], 'probe_at', now + unit) end
end
