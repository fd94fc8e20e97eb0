#!lua flags=no-cluster,allow-oom
-- Cancels a batch: one write, however large it is. Its waiting jobs are cancelled from this moment, for everyone who
-- looks; their records follow as `take` and the dispatcher meet them.
--
-- ARGV  batch
-- Returns how many jobs were waiting (scheduled, queued, retrying) when it was cancelled first, or -1 if the batch isn't
-- known.
local key = batch_key(ARGV[1])
if redis.call('EXISTS', key) == 0 then return -1 end
local waiting = 0
for _, value in ipairs(redis.call('HMGET', key, 'scheduled', 'queued', 'retrying')) do
  waiting = waiting + (tonumber(value or 0) or 0)
end
if redis.call('HSETNX', key, 'stopped', NOW) == 1 then redis.call('HSET', key, 'stopped_jobs', waiting) end
redis.pcall('HINCRBY', key, 'asked', 1)   -- something for a WAIT to confirm
return tonumber(redis.call('HGET', key, 'stopped_jobs'))
