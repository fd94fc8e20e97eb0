#!lua flags=no-cluster,allow-oom
-- Takes up to `n` ids off the lanes, the first lane's first, and reserves each in `due`: whoever is killed before
-- `begin` has called nobody, and the dispatcher puts the id back when the reservation is over.
--
-- Nothing is taken while the gateway fails, the worker's account is refused or the pace is used up, but for one probe
-- at a time; a lane that operators paused is passed over. Under a rate each id comes with the moment of its call.
-- Higher lanes come first, but no lane waits for ever: of ten ids that pass a lane by, an eleventh is its own.
-- Batches of a lane share it: each has its turn in the ring. A batch's jobs that were cancelled with it or have expired
-- end here, many at a time and so many in a call; nobody is handed their ids.
-- An id whose job isn't `queued`, or that `due` has already, is dropped and nothing moves (rule 2). Ids of jobs that
-- were cancelled one by one, and of jobs without a batch that have expired, are handed out without a reservation: `begin`
-- says so, and Celery hears of it.
--
-- ARGV  n, reservation (ms), look again (ms), retention (ms), worker, interval of the rate (ms, 0: no limit), lease
--       (ms), lane...
-- Returns {which of these lanes is the first with ids left (0: none), ms after which to come back (-1: nothing holds it
--          back), jobs that expired here, jobs that were cancelled here, id, lane, ms until its call, ...}
-- Keeps rule 1: an id leaves its lane and enters `due` in the same call.
local want, reservation, again, retention, worker, interval, lease = unpack(ARGV, 1, 7)
want, reservation, again, retention = tonumber(want), tonumber(reservation), tonumber(again), tonumber(retention)
interval, lease = tonumber(interval), tonumber(lease)
local now = NOW
local answer, left, back = {0, -1, 0, 0}, 0, -1
local taken, ends, ends_as = 0, 0, {expired = 0, cancelled = 0}
local ENDS = 500    -- jobs that end in one call, at most: some milliseconds
local PASSED = 10   -- ids of higher lanes after which a lower one has a turn

local function drop(why) tally('dropped_' .. why) end

local function hand_out(id, lane)
  taken = taken + 1
  answer[#answer + 1] = id; answer[#answer + 1] = lane; answer[#answer + 1] = 0
end

local function take(id, lane, cancelled)
  if alien(id) then return park(id, 'no job\'s id, on the lane ' .. lane) end
  local job, why = read(id)
  if why == 'newer' then
    in_due('ZADD', 'NX', now + again, id)
  elseif why == 'malformed' then
    in_due('ZADD', 'NX', now + reservation, id)
    hand_out(id, lane)
  elseif why then
    drop(why)
  elseif job.state == 'cancelled' or job.state == 'expired' then
    if cancelled then ends = ends + 1 else hand_out(id, lane) end
  elseif job.state ~= 'queued' or in_due('ZSCORE', id) then
    drop('stale')
  else
    local how = job.batch ~= '' and ended(job, now)   -- asked of the job: a stray id isn't of the batch whose list it is on
    if how then
      end_uncalled(job, how, now, retention)
      ends, ends_as[how] = ends + 1, ends_as[how] + 1
    else
      schedule(id, now + reservation)
      hand_out(id, lane)
    end
  end
end

-- Takes the share of the batch whose turn it is: as much as the others', and what can't be divided goes on with who is
-- next. A batch whose jobs have ended is gone through, up to a job that hasn't.
-- Returns whether there is more to take, and each one's share.
local over = {}
local function take_turn(lane, upto, each)
  local batch = on_ours('LPOP', 'smsq:lane:' .. lane)
  if not batch then
    take_turns(lane, 1000)   -- those that a foreign hand left without ids
    return false
  end
  local cancelled = stopped(batch)
  each = each or math.max(1, math.floor((upto - taken) / (redis.call('LLEN', 'smsq:lane:' .. lane) + 1)))
  local share = math.min(each, upto - taken)
  local waiting = ours('smsq:lane:' .. lane .. ':' .. batch, 'list')
  local before, gone = taken, 0
  if cancelled or over[batch] then
    for _, id in ipairs(redis.call('LRANGE', waiting, 0, math.max(share, ENDS - ends) - 1)) do
      if taken - before == share then break end
      take(id, lane, cancelled)
      gone = gone + 1
    end
    redis.call('LPOP', waiting, gone)
  else
    local ids = redis.call('LPOP', waiting, share) or {}
    for _, id in ipairs(ids) do take(id, lane) end
    gone = #ids
  end
  over[batch] = taken == before
  if redis.call('EXISTS', waiting) == 1 then redis.call('RPUSH', 'smsq:lane:' .. lane, batch) end
  if gone > 0 then take_turns(lane, gone) end
  return ends < ENDS, each
end

local function take_from(lane, upto)
  local rounds, more, each = 0, true, nil
  while more and taken < upto and rounds < 50 do
    more, each = take_turn(lane, upto, each)
    rounds = rounds + 1
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

-- What higher lanes leave to each that they have passed by; what it doesn't use is theirs.
local open, passed, owed, reserved = {}, {}, {}, 0
for l = 8, #ARGV do
  local lane = ARGV[l]
  ours('smsq:bell:' .. lane, 'list')   -- or nobody could wait for it
  open[lane], passed[lane], owed[lane] = not paused(lane), 0, 0
  if l > 8 and want > 0 and open[lane] and redis.call('EXISTS', 'smsq:lane:' .. lane) == 1 then
    passed[lane] = tonumber(on_ours('HGET', 'smsq:passed', lane) or 0) or 0
    owed[lane] = math.min(math.floor(passed[lane] / PASSED), math.ceil(want / 2))
    reserved = reserved + owed[lane]
  end
end
local got = {}
for turn = 1, 2 do
  for l = 8, #ARGV do
    local lane, before = ARGV[l], taken
    local others = turn == 1 and reserved - owed[lane] or 0
    if open[lane] then take_from(lane, want - others) end
    local took = taken - before
    if turn == 1 then reserved = reserved - math.min(owed[lane], took) end   -- the rest is a higher lane's, in turn 2
    got[lane] = (got[lane] or 0) + took
  end
end
local above = 0
for l = 8, #ARGV do
  local lane = ARGV[l]
  local waits = open[lane] and redis.call('EXISTS', 'smsq:lane:' .. lane) == 1
  if waits then
    if left == 0 then left = l - 7 end
    ring(lane)
  end
  local now_passed = waits and l > 8 and math.max(0, passed[lane] + above - PASSED * got[lane]) or 0
  if now_passed ~= passed[lane] then on_ours('HSET', 'smsq:passed', lane, now_passed) end
  above = above + got[lane]
end

for i = 1, taken do answer[4 + 3 * i] = math.max(0, math.ceil(first + (i - 1) * spacing - now)) end
if interval > 0 and taken < want then   -- what nobody needed
  redis.call('HSET', PACE, 'next', string.format('%.3f', first + taken * spacing))
end
for _, key in ipairs(probed) do
  if taken > 0 then redis.call('HSET', key, 'permit', answer[5], 'probe_at', now + lease) end
end
answer[1], answer[2] = left, back > 0 and math.ceil(back) or -1
answer[3], answer[4] = ends_as.expired, ends_as.cancelled
return answer
