#!lua flags=no-cluster,allow-oom
-- A worker ends as it was asked to: it isn't lost, so who watches isn't told of it any more. Another process of the same
-- name stays.
--
-- ARGV  worker, its process's id
-- Returns 1 if it is gone from there, now or before, else 0
-- Keeps rule 1: it moves no job.
local worker, pid = ARGV[1], tonumber(ARGV[2])
local found = lenient('HGET', 'smsq:workers', worker)
if type(found) ~= 'string' then return 1 end
local whole, said = pcall(cjson.decode, found:match('^%d+ (.*)$') or '')
if not whole or type(said) ~= 'table' or said.pid ~= pid then return 0 end
redis.call('HDEL', 'smsq:workers', worker)
return 1
