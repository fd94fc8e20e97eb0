#!lua flags=no-cluster,no-writes
-- What health checks judge workers by: their deeds. It costs the same however many jobs there are.
--
-- ARGV  ms by which an entry of `due` must be late to be counted
-- Returns JSON, times in ms of Redis's clock: now, held (until when the gateway wanted no calls; it may be over)
--   due: {late: number, oldest: the moment of the one that waits longest, absent if none is late}
--   workers: {name: {said: "<last heartbeat> <JSON>", gate: {since, reason, probe_at}, absent if it is open}}
local late = NOW - tonumber(ARGV[1])
local count, first = lenient('ZCOUNT', DUE, '-inf', late), lenient('ZRANGE', DUE, 0, 0, 'WITHSCORES')
local due = {late = type(count) == 'number' and count or 0}
if due.late > 0 then due.oldest = tonumber(first[2]) end
return cjson.encode({now = NOW, held = tonumber(named(PACE, 'hold').hold or 0) or 0, due = due,
                     workers = workers_heard()})
