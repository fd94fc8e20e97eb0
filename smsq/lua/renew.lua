#!lua flags=no-cluster,allow-oom
-- Renews leases: of those only that still run, whose token is the record's, and in the epoch in which it was given
-- (rule 9).
--
-- ARGV  epoch of the tokens, lease (ms), then for each job: id, token
-- Returns for each job what is left of its lease (ms), or -1: it isn't the caller's any more
-- Keeps rule 1: an entry in `due` moves.
local epoch, lease = tonumber(ARGV[1]), tonumber(ARGV[2])
local answers = {}
for i = 3, #ARGV, 2 do
  local job = epoch == EPOCH.number and read(ARGV[i])
  local due = job and in_due('ZSCORE', job.id)
  if due and job.state == 'sending' and not job.asking and job.token == ARGV[i + 1] and tonumber(due) > NOW then
    schedule(job.id, NOW + lease)
    answers[#answers + 1] = lease
  else
    answers[#answers + 1] = -1
  end
end
return answers
