#!lua flags=no-cluster,allow-oom
-- Cancels up to `limit` jobs that wait on a lane, oldest first (`celery purge`). Nothing is orphaned: an id leaves the
-- lane only with its job ended.
--
-- ARGV  lane, limit, retention (ms)
-- Returns {ids taken off the lane, jobs cancelled}
local lane, limit, retention = ARGV[1], ARGV[2], tonumber(ARGV[3])
local now = NOW
local ids, cancelled = {}, 0
while #ids == 0 do
  local batch = redis.call('LINDEX', ours('smsq:lane:' .. lane, 'list'), 0)
  if not batch then
    take_turns(lane, 1000000)   -- those that a foreign hand left without ids
    return {0, 0}
  end
  local waiting = ours('smsq:lane:' .. lane .. ':' .. batch, 'list')
  ids = redis.call('LPOP', waiting, limit) or {}
  if redis.call('EXISTS', waiting) == 0 then redis.call('LPOP', 'smsq:lane:' .. lane) end
end
take_turns(lane, #ids)
for _, id in ipairs(ids) do
  local job, why = read(id)
  if why == 'newer' then
    in_due('ZADD', 'NX', now, id)
  elseif why == 'malformed' then
    park(id, why)
  elseif job and job.state == 'queued' and not in_due('ZSCORE', id) then
    end_uncalled(job, ended(job, now) or 'cancelled', now, retention)
    if job.state == 'cancelled' then cancelled = cancelled + 1 end
  end
end
return {#ids, cancelled}
