-- Shared by every script: the keys, the record, and the only writers of `due`, of lanes and of `state`.
--
-- Invariant (rule 1), kept by every script: a job that isn't final is on its lane once, or has one entry in `due`;
-- never both, never neither. So a job moves only through `to_lane`, `schedule` and `finish`.
--
-- A script reads and checks all that it needs of a job before its first write to it: a script that fails half way is
-- not rolled back. `read` never raises: it returns nil and a reason for a record that can't be used.

local VERSION = 1     -- of the record; a newer one is left alone for a newer worker
local CHUNK = 60      -- bytes of message a field: a value over 64 bytes would turn the hash into a table of 820 bytes
local LANES = {urgent = true, normal = true, bulk = true}
local FINAL = {sent = true, failed = true, unknown = true, expired = true, cancelled = true}
local OPEN = {scheduled = true, queued = true, sending = true, retrying = true}
local WAKES = 1000    -- waiters woken at most: one that asks with short limits registers again and again
local DUE = 'smsq:due'
local ENDED = 'smsq:ended:'
local STORY = 40      -- lines of a job's timeline, which only a job with something out of the ordinary has

-- Notes what nobody can do anything with, for people to look at (`smsq parked`).
local function put_aside(id, reason)
  local found = redis.call('TYPE', 'smsq:parked').ok
  if found ~= 'hash' and found ~= 'none' then redis.call('RENAME', 'smsq:parked', 'smsq:aside:' .. 'smsq:parked') end
  redis.call('HSET', 'smsq:parked', id, reason)
end

-- A key of ours that somebody else has made something else of would stop every job that meets it: it is set aside
-- under another name, for people to look at. What waited there is found by `sweep`.
local function set_aside(key, found)
  redis.call('RENAME', key, 'smsq:aside:' .. key)
  put_aside(key, 'was a ' .. found .. '; it is smsq:aside:' .. key .. ' now')
  redis.pcall('HINCRBY', 'smsq:counters', 'set_aside', 1)
end

-- Makes sure of a key before several commands: it is of this kind, or nothing.
local function ours(key, kind)
  local found = redis.call('TYPE', key).ok
  if found ~= kind and found ~= 'none' then set_aside(key, found) end
  return key
end

-- Runs one command on a key of ours. That the key is of another kind costs nothing to find out: the command says so.
local function on_ours(command, key, ...)
  local answer = redis.pcall(command, key, ...)
  if type(answer) ~= 'table' or not answer.err then return answer end
  if not answer.err:find('WRONGTYPE', 1, true) then error(answer) end
  set_aside(key, redis.call('TYPE', key).ok)
  return redis.call(command, key, ...)
end

local function in_due(command, ...) return on_ours(command, DUE, ...) end

local function tally(name) redis.pcall('HINCRBY', ours('smsq:counters', 'hash'), name, 1) end

local function job_key(id) return 'smsq:job:' .. id end
local function batch_key(batch) return 'smsq:batch:' .. batch end

-- A record's fields as a table, or nil and 'gone' | 'malformed' | 'newer'.
--
-- `doubt`: the record is from an earlier epoch, and the gateway hasn't been asked about the job in this one: what it
-- says may be older than what was done (rule 18). `ask`: see `_asking`. `put_off`: since when the gateway puts it off
-- (ms): a job that waited for a week, for its moment or for an operator, isn't given up at its first try.
local FIELDS = {'v', 'state', 'lane', 'batch', 'token', 'expires', 'attempts', 'key', 'waiters', 'message_id', 'rules',
                'on_unknown', 'at', 'epoch', 'ask', 'losses', 'twin', 'send_at', 'called', 'put_off', 'erased'}
local DIGITS = 14     -- of a number: more is no moment, and no count
local function read(id)
  local values = lenient('HMGET', job_key(id), unpack(FIELDS))
  if values.err then return nil, 'malformed' end
  local job = {id = id}
  for i, field in ipairs(FIELDS) do job[field] = values[i] or nil end
  if not job.state and not job.v then return nil, redis.call('EXISTS', job_key(id)) == 1 and 'malformed' or 'gone' end
  local version = tonumber(job.v and job.v:match('^%d+$'))
  if version and version > VERSION then return nil, 'newer' end
  if not (version and job.at and LANES[job.lane] and (OPEN[job.state] or FINAL[job.state])) then
    return nil, 'malformed'
  end
  for _, number in ipairs({'expires', 'attempts', 'waiters', 'at', 'losses', 'send_at', 'put_off'}) do
    if job[number] and not (job[number]:match('^%d+$') and #job[number] <= DIGITS) then return nil, 'malformed' end
    job[number] = tonumber(job[number])
  end
  if job.ask then
    local whole, ask = pcall(cjson.decode, job.ask)
    if not (whole and type(ask) == 'table' and tonumber(ask.first) and tonumber(ask.last)) then
      return nil, 'malformed'
    end
    job.ask = ask
  end
  job.asking = job.ask and job.ask.from and job.state == 'sending'
  job.doubt = job.epoch ~= tostring(EPOCH.number)
  job.attempts = job.attempts or 0
  job.losses = job.losses or 0
  job.batch = job.batch or ''
  return job
end

-- Whether something in a list is no job's id: a foreign hand's.
local function alien(id) return not id:match('^[%w_-]+$') end

local function add_message(fields, message)
  local n = 0
  for i = 1, #message, CHUNK do
    fields[#fields + 1] = 'm' .. n
    fields[#fields + 1] = message:sub(i, i + CHUNK - 1)
    n = n + 1
  end
end

-- A message's fields: names and values. Nearly all are short: asked for at once.
local function message_fields(key)
  local names, values = {}, {}
  repeat
    local asked = {}
    for n = #names, #names + 11 do asked[#asked + 1] = 'm' .. n end
    local found, n = redis.call('HMGET', key, unpack(asked)), 0
    while found[n + 1] do
      n = n + 1
      names[#names + 1], values[#values + 1] = asked[n], found[n]
    end
  until n < #asked
  return names, values
end

local function read_message(key)
  local _, values = message_fields(key)
  return table.concat(values)
end

local function ring(lane)
  local bell = 'smsq:bell:' .. lane
  if on_ours('LLEN', bell) == 0 then redis.call('RPUSH', bell, '1') end
end

-- Puts ids that are nowhere at the end of a lane (or at its front). The ring is looked at even where ids of the batch wait
-- already: a batch that a foreign hand took off it would wait for ever.
local function enter_lane(lane, batch, ids, front)
  local push, batches = front and 'LPUSH' or 'RPUSH', 'smsq:lane:' .. lane
  on_ours(push, batches .. ':' .. batch, unpack(ids))
  if not on_ours('LPOS', batches, batch) then redis.call(push, batches, batch) end
  local turns = {}
  for i = 1, #ids do turns[i] = '1' end
  on_ours('RPUSH', 'sms.' .. lane, unpack(turns))
  ring(lane)
end

-- Moves ids to a lane: out of `due`.
local function to_lane(lane, batch, ids, front)
  in_due('ZREM', unpack(ids))
  enter_lane(lane, batch, ids, front)
end

-- Takes turns off what Flower counts. A message that somebody published there is none of ours: it is noted, not kept,
-- as nobody knows whose number or text is in it.
local function take_turns(lane, n)
  local turns = on_ours('LPOP', 'sms.' .. lane, n) or {}
  for _, turn in ipairs(turns) do
    if turn ~= '1' then
      tally('foreign_messages')
      put_aside('message ' .. redis.sha1hex(turn):sub(1, 12),
                 #turn .. ' bytes on sms.' .. lane .. ' that SmsQueue has not put there: dropped')
    end
  end
end

-- Enters a job in `due`: someone must look at it at that moment (Redis time, ms).
local function schedule(id, at) in_due('ZADD', at, id) end

-- A batch's counts follow every change of state; its record goes when its last job has been final for the retention.
-- Counts that a foreign hand broke must not stop a job half way: pcall.
local function count(batch, from, to, now, retention, n)
  if batch == '' then return end
  local key = batch_key(batch)
  if from then redis.pcall('HINCRBY', key, from, -1) end
  redis.pcall('HINCRBY', key, to, n or 1)
  redis.pcall('HSET', key, 'last', now)
  if not FINAL[to] then
    if not from then redis.call('PERSIST', key) end
    return
  end
  local open = 0
  for _, value in ipairs(redis.pcall('HMGET', key, 'scheduled', 'queued', 'sending', 'retrying')) do
    open = open + (tonumber(value or 0) or 0)
  end
  if open <= 0 then redis.call('PEXPIRE', key, retention) end
end

-- Adds a line to a job's timeline (`smsq why`): never a number, a text or a key.
local function note(job, now, event, detail)
  local story = lenient('HGET', job_key(job.id), 'log')
  local lines = {}
  if type(story) == 'string' then
    for line in story:gmatch('[^\n]+') do lines[#lines + 1] = line end
  end
  lines[#lines + 1] = now .. ' ' .. event .. (detail and ' ' .. detail:gsub('%c', ' '):sub(1, 120) or '')
  if #lines > STORY then table.remove(lines, 2) end   -- how it began stays
  redis.call('HSET', job_key(job.id), 'log', table.concat(lines, '\n'))
end

local function set_state(job, to, now, ...)
  redis.call('HSET', job_key(job.id), 'state', to, ...)
  if job.state ~= to then count(job.batch, job.state, to, now) end
  job.state = to
end

-- Ends a job: out of `due`, kept for the retention, whoever waits is woken. An id that is still on a lane stays there
-- until `take` drops it. The idempotency key starts to age only now (rule 21). What failed or is unknown is listed for
-- people (`ended.lua`), and another job of the same number and text is free of it (`twins`).
local function finish(job, to, now, retention, ...)
  local key = job_key(job.id)
  local from = job.state
  in_due('ZREM', job.id)
  redis.call('HSET', key, 'state', to, 'done', now, ...)
  if job.ask then redis.call('HDEL', key, 'ask') end
  redis.call('PEXPIRE', key, retention)
  if job.key then redis.call('PEXPIRE', 'smsq:key:' .. job.key, retention) end
  if from ~= to then count(job.batch, from, to, now, retention) end
  if job.waiters and job.waiters > 0 then
    for _ = 1, math.min(job.waiters, WAKES) do redis.call('RPUSH', 'smsq:wake:' .. job.id, '1') end
    redis.call('PEXPIRE', 'smsq:wake:' .. job.id, 60000)
    redis.call('HDEL', key, 'waiters')
  end
  if to == 'failed' or to == 'unknown' then
    redis.pcall('ZADD', ENDED .. to, now, job.id)
    redis.pcall('ZREMRANGEBYSCORE', ENDED .. to, '-inf', now - retention)
  end
  if from == 'failed' or from == 'unknown' then redis.pcall('ZREM', ENDED .. from, job.id) end
  if job.twin and to ~= 'unknown' then redis.pcall('SREM', 'smsq:twins:' .. job.twin, job.id) end
  job.state, job.ask, job.asking = to, nil, nil
end

-- Takes out of `due` what nobody can do anything with.
local function park(id, reason)
  in_due('ZREM', id)
  put_aside(id, reason)
end

-- When a batch was cancelled as a whole (ms), or nil.
local function stopped(batch)
  if batch == '' then return nil end
  local at = lenient('HGET', batch_key(batch), 'stopped')
  return type(at) == 'string' and tonumber(at) or nil
end

-- Whether a waiting job has ended without anyone having written it: its batch was cancelled, or its time is over;
-- whichever came first, so that nobody sees one end become the other.
local function ended(job, now)
  local at = stopped(job.batch)
  if job.expires and job.expires <= (at or now) then return 'expired' end
  return at and 'cancelled' or nil
end

-- What a lookup answers: {id, now, when its batch was cancelled (ms) or 0, 1 if it is in doubt else 0, field, value,
-- ...}. No fields where the key is no record at all.
local function look(id, now)
  local answer = {id, now, 0, 1}
  local record = lenient('HGETALL', job_key(id))
  if record.err then return answer end
  for i = 1, #record, 2 do
    answer[i + 4], answer[i + 5] = record[i], record[i + 1]
    if record[i] == 'batch' then answer[3] = stopped(record[i + 1]) or 0 end
    if record[i] == 'epoch' and record[i + 1] == tostring(EPOCH.number) then answer[4] = 0 end
  end
  return answer
end

-- 'smsq:message:12' and '34' for messageId 1234: buckets of 100 stay small hashes. Ids are strings: Lua's numbers
-- hold 53 bits.
local function bucket(kind, id)
  if #id <= 2 then return 'smsq:' .. kind .. ':0', id end
  return 'smsq:' .. kind .. ':' .. id:sub(1, -3), id:sub(-2)
end

-- A bucket lives at least as long as the record of each of its jobs, and a sixteenth longer: so of the many that end one
-- after another, few have its end written (and into the append-only file).
local function keep_bucket(key, retention)
  if redis.call('PTTL', key) < retention then redis.call('PEXPIRE', key, math.ceil(retention * 17 / 16)) end
end
