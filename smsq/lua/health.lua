#!lua flags=no-cluster,no-writes
-- What health checks judge workers by: their deeds. It costs the same however many jobs there are.
--
-- ARGV  ms by which an entry of `due` must be late to be counted
-- Returns JSON, times in ms of Redis's clock: now, held (until when the gateway wanted no calls; it may be over)
--   due: {late: number, oldest: the moment of the one that waits longest, absent if none is late}
--   workers: {name: {said: "<last heartbeat> <JSON>", gate: {since, reason, probe_at}, absent if it is open}}
local late = NOW - tonumber(ARGV[1])

local function field(key, name)
  local found = lenient('HGET', key, name)
  return type(found) == 'string' and found or nil
end

local function gate(key)
  local since = field(key, 'since')
  return since and {since = since, reason = field(key, 'reason'), probe_at = field(key, 'probe_at')}
end

local workers, heard = {}, lenient('HGETALL', 'smsq:workers')
for i = 1, heard.err and 0 or #heard, 2 do
  workers[heard[i]] = {said = heard[i + 1], gate = gate(worker_gate(heard[i]))}
end
local count, first = lenient('ZCOUNT', DUE, '-inf', late), lenient('ZRANGE', DUE, 0, 0, 'WITHSCORES')
local due = {late = type(count) == 'number' and count or 0}
if due.late > 0 then due.oldest = tonumber(first[2]) end
return cjson.encode({now = NOW, held = tonumber(field(PACE, 'hold') or 0) or 0, due = due, workers = workers})
