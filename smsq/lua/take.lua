#!lua flags=no-cluster,allow-oom
-- Takes up to `n` ids off the lanes, the first lane's first, and reserves each in `due`: whoever is killed before
-- `begin` has called nobody, and the dispatcher puts the id back when the reservation is over.
--
-- Batches of a lane share it: each has its turn in the ring. A cancelled batch's jobs end here, many at a time.
-- An id whose job isn't `queued`, or that `due` has already, is dropped and nothing moves (rule 2). Ids of jobs that
-- were cancelled or have expired are handed out without a reservation: `begin` says so, and Celery hears of it.
--
-- ARGV  n, reservation (ms), look again (ms), retention (ms), lane...
-- Returns {1 if ids are left on these lanes else 0, id, lane, id, lane, ...}
-- Keeps rule 1: an id leaves its lane and enters `due` in the same call.
local want, reservation, again, retention = unpack(ARGV, 1, 4)
want, reservation, again = tonumber(want), tonumber(reservation), tonumber(again)
local now = clock()
local answer, left = {0}, false

local function drop(why) redis.call('HINCRBY', 'smsq:counters', 'dropped_' .. why, 1) end

local function take(id, lane, cancelled)
  local job, why = read(id)
  if why == 'newer' then
    redis.call('ZADD', DUE, 'NX', now + again, id)
  elseif why == 'malformed' then
    redis.call('ZADD', DUE, 'NX', now + reservation, id)
    answer[#answer + 1] = id; answer[#answer + 1] = lane
    return 1
  elseif why then
    drop(why)
  elseif job.state == 'cancelled' or job.state == 'expired' then
    answer[#answer + 1] = id; answer[#answer + 1] = lane
    return 1
  elseif job.state ~= 'queued' or redis.call('ZSCORE', DUE, id) then
    drop('stale')
  else
    local how = cancelled and ended(job, now)   -- asked of the job: a stray id isn't of the batch whose list it is on
    if how then
      finish(job, how, now, retention)
    else
      schedule(id, now + reservation)
      answer[#answer + 1] = id; answer[#answer + 1] = lane
      return 1
    end
  end
  return 0
end

for l = 5, #ARGV do
  local lane = ARGV[l]
  local rounds = 0
  while want > 0 and rounds < 50 do
    rounds = rounds + 1
    local batch = redis.call('LPOP', 'smsq:lane:' .. lane)
    if not batch then
      redis.call('DEL', 'sms.' .. lane)   -- turns that a foreign hand left without ids
      break
    end
    local cancelled = stopped(batch)
    local share = cancelled and 500 or math.ceil(want / (redis.call('LLEN', 'smsq:lane:' .. lane) + 1))
    local waiting = 'smsq:lane:' .. lane .. ':' .. batch
    local ids = redis.call('LPOP', waiting, share) or {}
    if redis.call('EXISTS', waiting) == 1 then redis.call('RPUSH', 'smsq:lane:' .. lane, batch) end
    if #ids > 0 then redis.call('LPOP', 'sms.' .. lane, #ids) end
    for _, id in ipairs(ids) do want = want - take(id, lane, cancelled) end
  end
  if redis.call('EXISTS', 'smsq:lane:' .. lane) == 1 then
    left = true
    ring(lane)
  end
end
answer[1] = left and 1 or 0
return answer
