#!lua flags=no-cluster
-- Registers one who will block on `smsq:wake:<id>` until the job ends.
--
-- ARGV  id
-- Returns 1 if the job has not ended (whoever ends it wakes as many as have registered), else 0
local job = read(ARGV[1])
if not job or FINAL[job.state] then return 0 end
if job.state ~= 'sending' and not uncertain(job) and ended(job, NOW) then return 0 end
redis.call('HINCRBY', job_key(job.id), 'waiters', 1)
return 1
