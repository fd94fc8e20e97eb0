#!lua flags=no-cluster,no-writes
-- Some of what was put aside because nobody can do anything with it, and why.
--
-- ARGV  cursor ('0' to begin), how many, about
-- Returns {next cursor ('0': that was all), id, reason, ...}
local found = redis.call('HSCAN', 'smsq:parked', ARGV[1], 'COUNT', ARGV[2])
return {found[1], unpack(found[2])}
