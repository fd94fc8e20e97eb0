-- What those who watch see of workers and gates. What a foreign hand broke is left out, so that the rest is still seen.

-- Some fields of a hash as a table; empty if the key is none of ours.
local function named(key, ...)
  local values, found = lenient('HMGET', key, ...), {}
  for i, name in ipairs({...}) do found[name] = not values.err and values[i] or nil end
  return found
end

-- {since, reason, probe_at}, or nil for a gate that is open.
local function gate_of(key)
  local found = named(key, 'since', 'reason', 'probe_at')
  return found.since and found or nil
end

-- {name: {said: "<last heartbeat> <JSON>", gate: the one of its account}}, of all that were ever heard of.
local function workers_heard()
  local workers, heard = {}, lenient('HGETALL', 'smsq:workers')
  for i = 1, heard.err and 0 or #heard, 2 do
    workers[heard[i]] = {said = heard[i + 1], gate = gate_of(worker_gate(heard[i]))}
  end
  return workers
end
