#!lua flags=no-cluster,no-writes
-- What operators see of everything at a glance. It costs the same however many jobs there are: of long lists only the
-- beginning is looked at. What a foreign hand broke is left out, so that the rest is still seen.
--
-- ARGV  batches of a lane to look at for its oldest job, entries of `due` to look at
-- Returns JSON, times in ms of Redis's clock: now
--   lanes: {lane: {waiting, batches, oldest (when it was accepted, or its moment came; absent if nobody waits)}}
--   due: {entries, come (whose moment has come), looked (the first, which are in these) states: {state: number, besides
--     `reserved` (taken, not begun), `asking` and `unusable`}}
--   ended: {state: number}, parked: number, counters: {what: number as text}
--   pauses: {lane or all: "<since> <reason>"}
--   circuit: {since, reason, probe_at}, absent if it is open; pace: {hold, factor, factor_until, reason}
--   workers: {name: {said: "<last heartbeat> <JSON>", gate: as circuit}}
local BATCHES, ENTRIES = tonumber(ARGV[1]), tonumber(ARGV[2])

-- A command's answer, or nil if the key is none of ours.
local function try(...)
  local found = lenient(...)
  if type(found) == 'table' and found.err then return nil end
  return found
end

local function pairs_of(flat)
  local found = {}
  for i = 1, #(flat or {}), 2 do found[flat[i]] = flat[i + 1] end
  return found
end

local function lane_of(lane)
  local found = {waiting = try('LLEN', 'sms.' .. lane) or 0, batches = try('LLEN', 'smsq:lane:' .. lane) or 0}
  for _, batch in ipairs(try('LRANGE', 'smsq:lane:' .. lane, 0, BATCHES - 1) or {}) do
    local first = try('LINDEX', 'smsq:lane:' .. lane .. ':' .. batch, 0)
    local job = first and read(first)
    local since = job and math.max(job.at, job.send_at or 0)
    if job then found.oldest = math.min(found.oldest or since, since) end
  end
  return found
end

local function due()
  local ids = try('ZRANGE', DUE, 0, ENTRIES - 1) or {}
  local states = {}
  for _, id in ipairs(ids) do
    local job = read(id)
    local state = not job and 'unusable' or job.asking and 'asking' or job.state == 'queued' and 'reserved' or job.state
    states[state] = (states[state] or 0) + 1
  end
  return {entries = try('ZCARD', DUE) or 0, come = try('ZCOUNT', DUE, '-inf', NOW) or 0, looked = #ids, states = states}
end

local lanes = {}
for lane in pairs(LANES) do lanes[lane] = lane_of(lane) end
return cjson.encode({
  now = NOW,
  lanes = lanes,
  due = due(),
  ended = {failed = try('ZCARD', ENDED .. 'failed') or 0, unknown = try('ZCARD', ENDED .. 'unknown') or 0},
  parked = try('HLEN', 'smsq:parked') or 0,
  counters = pairs_of(try('HGETALL', 'smsq:counters')),
  pauses = pairs_of(try('HGETALL', 'smsq:pause')),
  circuit = gate_of(CIRCUIT),
  pace = named(PACE, 'hold', 'factor', 'factor_until', 'reason'),
  workers = workers_heard(),
})
