#!lua flags=no-cluster,allow-oom
-- Holds a lane back, or all of them, or lets them go on. A lane stays held back while either holds it: its own pause, or
-- that of all. `take` and `begin` honour it; calls that are out are finished. Pauses that are over are remembered, the
-- last hundred, for jobs that waited for them (`story`).
--
-- ARGV  lane or 'all', reason ('': let it go on)
-- Returns {lane or 'all', "<since, ms> <reason>", ...}: what is held back now
local REMEMBERED = 100
local lane, reason = unpack(ARGV)
local pauses, past = ours('smsq:pause', 'hash'), ours('smsq:pause:past', 'list')
local before = redis.call('HGET', pauses, lane)
local since = before and before:match('^%d+') or NOW   -- another reason for the same pause
if reason ~= '' then
  redis.call('HSET', pauses, lane, since .. ' ' .. reason)
else
  if before then
    redis.call('LPUSH', past, NOW .. ' ' .. lane .. ' ' .. before)
    redis.call('LTRIM', past, 0, REMEMBERED - 1)
  end
  redis.call('HDEL', pauses, lane)
  for each in pairs(LANES) do   -- nobody has rung while it was held back
    if not paused(each) and on_ours('LLEN', 'smsq:lane:' .. each) > 0 then ring(each) end
  end
end
return redis.call('HGETALL', pauses)
