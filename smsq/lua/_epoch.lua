-- Which ledger this is: the clock, and the epoch (rule 17).
--
-- An epoch is the time in which this ledger certainly didn't go back: one server, one history. Another server (a
-- failover, a restart), a caller that knows a newer epoch (this ledger is a copy from before it) and a jump of the
-- clock (a caller then says so by knowing a newer one, rule 20) start the next. The newest epoch that the caller knows
-- comes first in ARGV, added by the runners, and then for how long this call has been tried (ms, 0: for the first time).
local NOW, EPOCH, TRIED
do
  local known = tonumber(table.remove(ARGV, 1))
  TRIED = tonumber(table.remove(ARGV, 1))
  local t = redis.call('TIME')
  NOW = t[1] * 1000 + math.floor(t[2] / 1000)
  local info = redis.call('INFO', 'server', 'replication')
  local function named(name)   -- a plain search: a pattern is tried at each of two thousand characters
    local _, last = info:find(name, 1, true)
    return last and info:match('^%x*', last + 1) or ''
  end
  local server = named('\nrun_id:') .. ' ' .. named('\nmaster_replid:')
  local found = lenient('HMGET', 'smsq:epoch', 'number', 'server', 'started')
  if found.err then
    found = {}
    if not READS_ONLY then redis.call('DEL', 'smsq:epoch') end
  end
  local number = tonumber(found[1] or 0) or 0
  if found[2] == server and number >= known then
    EPOCH = {number = number, started = tonumber(found[3] or NOW) or NOW}
  else
    -- Its number is the time, so that a ledger that was emptied is newer than what anyone knows. Who only reads starts none,
    -- and hears of a newer one that is older than the next to be started: else its own next write would start one more.
    local newer = READS_ONLY and math.min(known + 1, NOW) or math.max(known + 1, NOW)
    EPOCH = {number = math.max(number + 1, newer), started = NOW}
    if not READS_ONLY then
      redis.call('HSET', 'smsq:epoch', 'number', EPOCH.number, 'server', server, 'started', NOW)
    end
  end
end

