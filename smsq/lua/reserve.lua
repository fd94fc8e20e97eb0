#!lua flags=no-cluster,allow-oom
-- Reserves the next moments of the common pace for calls that no `take` gave one: further tries, questions, and calls
-- that missed theirs.
--
-- ARGV  interval of the rate (ms, 0: no limit), how many, how far ahead (ms), the share of which they are a part ('': none;
--       of a share one at a time), each so many-th call at most is one of it
-- Returns {how many, ms until the first one (none: until to come back), ms between two}
local setting, n, ahead, share, each = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4], tonumber(ARGV[5])
local many, first, spacing
if share == '' then many, first, spacing = reserve(n, setting, ahead, NOW)
else many, first, spacing = reserve_of(share, each, setting, ahead, NOW) end
return {many, math.max(0, math.ceil(first - NOW)), math.ceil(spacing or 0)}
