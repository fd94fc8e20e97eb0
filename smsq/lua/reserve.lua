#!lua flags=no-cluster,allow-oom
-- Reserves the next moments of the common pace for calls that no `take` gave one: further tries, questions, and calls
-- that missed theirs.
--
-- ARGV  interval of the rate (ms, 0: no limit), how many, how far ahead (ms)
-- Returns {how many, ms until the first one (none: until to come back), ms between two}
local many, first, spacing = reserve(tonumber(ARGV[2]), tonumber(ARGV[1]), tonumber(ARGV[3]), NOW)
return {many, math.max(0, math.ceil(first - NOW)), math.ceil(spacing or 0)}
