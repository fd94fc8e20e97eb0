#!lua flags=no-cluster,allow-oom
-- Hands taken ids back to the front of their lane, at a worker's shutdown. Only where the job is still `queued` and
-- reserved in `due` (rule 4): one that was begun belongs to the one who began it.
--
-- ARGV  id...
-- Returns how many went back.
-- Keeps rule 1: `to_lane` takes the id out of `due` in the same call.
local back = 0
for i = #ARGV, 1, -1 do
  local job = read(ARGV[i])
  if job and job.state == 'queued' and in_due('ZSCORE', job.id) then
    to_lane(job.lane, job.batch, {job.id}, true)
    back = back + 1
  end
end
return back
