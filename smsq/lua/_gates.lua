-- What holds jobs back on their lanes: an operator's pause, a gate (the gateway fails, or the worker's account does),
-- the pace.
--
-- A gate that is closed has `since`; one probe at a time passes (`permit`: its job's id), when `probe_at` has come. The
-- permit is a lease (rule 24): it ends with the next `probe_at`.
local CIRCUIT = 'smsq:gate:circuit'
local WELL = 'smsq:gate:well'
local PACE = 'smsq:pace'
local FIRST_GATE, LONGEST_GATE = 5000, 60000   -- ms until a closed gate's first probe, doubled up to
local AHEAD = 100                              -- ms for which moments are given out: what is taken can't be overtaken
local SLOWER = 60000                           -- ms for which the gateway's "too many calls" halves the pace

local function worker_gate(worker) return 'smsq:gate:worker:' .. worker end

-- Whether operators hold a lane back.
local function paused(lane)
  local found = lenient('HMGET', 'smsq:pause', 'all', lane)
  return not found.err and (found[1] or found[2]) and true or false
end

-- A closed gate: when its next probe may go, and whose permit is out; nothing if it is open.
local function closed(key)
  local found = lenient('HMGET', key, 'since', 'probe_at', 'permit')
  if found.err or not found[1] then return nil end
  return tonumber(found[2] or 0) or 0, found[3] or ''
end

-- Closes a gate, or leaves it closed for longer after a probe of its failed.
local function close(key, reason, now, probed)
  local found = redis.call('HMGET', key, 'since', 'pause')
  local pause = FIRST_GATE
  if found[1] then
    if not probed then return end
    pause = math.min(LONGEST_GATE, (tonumber(found[2]) or FIRST_GATE) * 2)
  end
  redis.call('HSET', key, 'since', found[1] or now, 'reason', reason, 'pause', pause, 'probe_at', now + pause)
  redis.call('HDEL', key, 'permit')
  redis.call('PEXPIRE', key, 86400000)
end

-- Milliseconds between two calls of all workers, for an interval that the setting gives (0: no limit).
local function interval_of(setting, now)
  local found = lenient('HMGET', PACE, 'factor', 'factor_until')
  if setting == 0 or found.err or (tonumber(found[2] or 0) or 0) <= now then return setting, 1 end
  local factor = tonumber(found[1] or 1) or 1
  return setting * factor, factor
end

-- Reserves moments for up to n calls within the next `ahead` ms: the first one's, and how many there are. None: when
-- to come back.
local function reserve(n, setting, ahead, now)
  local found = lenient('HMGET', PACE, 'next', 'hold')
  if found.err then
    redis.call('DEL', PACE)
    found = {}
  end
  local hold = tonumber(found[2] or 0) or 0
  if hold > now then return 0, hold end
  if setting == 0 then return n, now, 0 end
  local interval = interval_of(setting, now)
  local first = math.max(tonumber(found[1] or 0) or 0, now)
  local free = math.min(n, math.floor((now + ahead - first) / interval) + 1)
  if free <= 0 then return 0, first - ahead end
  redis.call('HSET', PACE, 'next', string.format('%.3f', first + free * interval))
  return free, first, interval
end

-- The same for one question: those of a share go out at most as often as each so many-th call, whichever worker puts them.
local function reserve_of(share, each, setting, ahead, now)
  if setting == 0 then return reserve(1, setting, ahead, now) end
  local field, pause = 'share:' .. share, each * interval_of(setting, now)
  local earliest = lenient('HGET', PACE, field)
  earliest = type(earliest) == 'string' and tonumber(earliest) or 0
  if earliest > now and earliest <= now + ahead + pause then return 0, earliest end   -- later: the clock has jumped
  local many, first, interval = reserve(1, setting, ahead, now)
  if many == 1 then redis.call('HSET', PACE, field, string.format('%.3f', first + pause)) end
  return many, first, interval
end

-- The gateway wants fewer calls: none for `wait` ms, half the pace for a while. Calls that were out together say the same:
-- heard once.
local function slow_down(said, wait, now)
  local _, factor = interval_of(1, now)
  local held = tonumber(redis.call('HGET', PACE, 'hold') or 0) or 0
  if held > now then return end
  redis.call('HSET', PACE, 'hold', now + wait, 'factor', math.min(8, factor * 2), 'factor_until', now + SLOWER, 'reason', said)
end

-- What a call that sends came to, for those who wait at the gates: 'well' | 'failing' | 'account' | 'slow'; or 'keyless'.
--
-- A call that hung tells of it when it gives up, with all that began beside it. If one that came later was answered,
-- the gateway isn't down, and these are no failures in a row: a campaign that hangs would hold every code back.
local function hear(s, worker, after, now)
  local gate = worker_gate(worker)
  local _, circuit_permit = closed(CIRCUIT)
  if s.heard == 'keyless' then   -- this worker can't read a message, which says nothing of the gateway: another is its probe
    if circuit_permit == s.id then
      redis.call('HSET', CIRCUIT, 'probe_at', now)
      redis.call('HDEL', CIRCUIT, 'permit')
    end
    local _, permit = closed(gate)
    return close(gate, s.said, now, permit == s.id)
  end
  if s.heard == 'failing' then
    local well = lenient('GET', WELL)
    if s.called and now - s.called < (tonumber(type(well) == 'string' and well or 0) or 0) then return end
    local failures = redis.call('HINCRBY', CIRCUIT, 'failures', 1)
    if failures >= after then close(CIRCUIT, s.said, now, circuit_permit == s.id) end
    return
  end
  redis.call('SET', WELL, now, 'PX', 86400000)
  if redis.call('EXISTS', CIRCUIT) == 1 then redis.call('DEL', CIRCUIT) end
  local _, permit = closed(gate)
  if s.heard == 'account' then
    close(gate, s.said, now, permit == s.id)
  elseif s.heard == 'slow' then
    slow_down(s.said, s.wait, now)
  elseif permit then
    redis.call('DEL', gate)
  end
end
