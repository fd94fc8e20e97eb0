#!lua flags=no-cluster,allow-oom
-- Takes up to `n` ids off the lanes, the first lane's first, and reserves each in `due`: whoever is killed before
-- `begin` has called nobody, and the dispatcher puts the id back when the reservation is over.
--
-- Nothing is taken while the gateway fails, the worker's account is refused or the pace is used up, but for one probe
-- at a time; a lane that operators paused is passed over. Under a rate each id comes with the moment of its call.
-- Batches of a lane share it: each has its turn in the ring. A cancelled batch's jobs end here, many at a time.
-- An id whose job isn't `queued`, or that `due` has already, is dropped and nothing moves (rule 2). Ids of jobs that
-- were cancelled or have expired are handed out without a reservation: `begin` says so, and Celery hears of it.
--
-- ARGV  n, reservation (ms), look again (ms), retention (ms), worker, interval of the rate (ms, 0: no limit), lease
--       (ms), lane...
-- Returns {1 if ids are left on these lanes else 0, ms after which to come back (-1: nothing holds it back), id, lane,
--          ms until its call, ...}
-- Keeps rule 1: an id leaves its lane and enters `due` in the same call.
local want, reservation, again, retention, worker, interval, lease = unpack(ARGV, 1, 7)
want, reservation, again, retention = tonumber(want), tonumber(reservation), tonumber(again), tonumber(retention)
interval, lease = tonumber(interval), tonumber(lease)
local now = NOW
local answer, left, back = {0, -1}, false, -1
local taken = 0

local function drop(why) tally('dropped_' .. why) end

local function hand_out(id, lane)
  taken = taken + 1
  answer[#answer + 1] = id; answer[#answer + 1] = lane; answer[#answer + 1] = 0
end

local function take(id, lane, cancelled)
  if alien(id) then return park(id, 'no job\'s id, on the lane ' .. lane) end
  local job, why = read(id)
  if why == 'newer' then
    redis.call('ZADD', DUE, 'NX', now + again, id)
  elseif why == 'malformed' then
    redis.call('ZADD', DUE, 'NX', now + reservation, id)
    hand_out(id, lane)
  elseif why then
    drop(why)
  elseif job.state == 'cancelled' or job.state == 'expired' then
    hand_out(id, lane)
  elseif job.state ~= 'queued' or redis.call('ZSCORE', DUE, id) then
    drop('stale')
  else
    local how = cancelled and ended(job, now)   -- asked of the job: a stray id isn't of the batch whose list it is on
    if how then
      end_uncalled(job, how, now, retention)
    else
      schedule(id, now + reservation)
      hand_out(id, lane)
    end
  end
end

-- The gates that are closed, and until when nothing passes; a probe passes all of them.
local probed = {}
for _, key in ipairs({CIRCUIT, worker_gate(worker)}) do
  local probe_at = closed(key)
  if probe_at then
    probed[#probed + 1] = key
    back = math.max(back, probe_at - now)
  end
end
if #probed > 0 then want = back > 0 and 0 or math.min(want, 1) end

local first, spacing = now, 0
if want > 0 then
  local room
  room, first, spacing = reserve(want, interval, AHEAD, now)
  if room == 0 then back = math.max(back, first - now) end
  want = room
end

for l = 8, #ARGV do
  local lane = ARGV[l]
  local rounds = 0
  local open = not paused(lane)
  ours('smsq:bell:' .. lane, 'list')   -- or nobody could wait for it
  while open and taken < want and rounds < 50 do
    rounds = rounds + 1
    local batch = redis.call('LPOP', ours('smsq:lane:' .. lane, 'list'))
    if not batch then
      take_turns(lane, 1000)   -- those that a foreign hand left without ids
      break
    end
    local cancelled = stopped(batch)
    local share = cancelled and 500 or math.ceil((want - taken) / (redis.call('LLEN', 'smsq:lane:' .. lane) + 1))
    local waiting = ours('smsq:lane:' .. lane .. ':' .. batch, 'list')
    local ids = redis.call('LPOP', waiting, share) or {}
    if redis.call('EXISTS', waiting) == 1 then redis.call('RPUSH', 'smsq:lane:' .. lane, batch) end
    if #ids > 0 then take_turns(lane, #ids) end
    for _, id in ipairs(ids) do take(id, lane, cancelled) end
  end
  if open and redis.call('EXISTS', 'smsq:lane:' .. lane) == 1 then
    left = true
    ring(lane)
  end
end

for i = 1, taken do answer[2 + 3 * i] = math.max(0, math.ceil(first + (i - 1) * spacing - now)) end
if interval > 0 and taken < want then   -- what nobody needed
  redis.call('HSET', PACE, 'next', string.format('%.3f', first + taken * spacing))
end
for _, key in ipairs(probed) do
  if taken > 0 then redis.call('HSET', key, 'permit', answer[3], 'probe_at', now + lease) end
end
answer[1], answer[2] = left and 1 or 0, back > 0 and math.ceil(back) or -1
return answer
