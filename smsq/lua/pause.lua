#!lua flags=no-cluster,allow-oom
-- Holds a lane back, or all of them, or lets them go on. A lane stays held back while either holds it: its own pause, or
-- that of all. `take` and `begin` honour it; calls that are out are finished.
--
-- ARGV  lane or 'all', reason ('': let it go on)
-- Returns {lane or 'all', "<since, ms> <reason>", ...}: what is held back now
local lane, reason = unpack(ARGV)
local pauses = ours('smsq:pause', 'hash')
if reason ~= '' then
  redis.call('HSET', pauses, lane, NOW .. ' ' .. reason)
else
  redis.call('HDEL', pauses, lane)
  for each in pairs(LANES) do   -- nobody has rung while it was held back
    if not paused(each) and redis.call('LLEN', ours('smsq:lane:' .. each, 'list')) > 0 then ring(each) end
  end
end
return redis.call('HGETALL', pauses)
