#!lua flags=no-cluster,allow-oom
-- A hint that there may be news of a message: it is asked about sooner. Nothing else comes of it, however often and by
-- whomever it is given; what nobody follows, and what is final, is left alone.
--
-- ARGV  messageId
-- Returns 1 if it is asked about sooner, or very soon anyway, else 0
-- Keeps rule 1: it moves no job.
local key, field = bucket('message', ARGV[1])
local id = lenient('HGET', key, field)
local job = type(id) == 'string' and following(id)
if not job then return 0 end
redis.call('ZADD', ours(FOLLOW, 'zset'), 'XX', 'LT', math.max(NOW, job.last + HINTED), id)
return 1
