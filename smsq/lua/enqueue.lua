#!lua flags=no-cluster
-- Accepts jobs: writes each record and puts it on its lane (or into `due`, for later), in one step.
--
-- Refused as a whole when memory is full (no allow-oom): nothing is accepted that can't be kept.
-- Repeatable: a job whose id exists already is answered as the first time. Each answer follows a write to the job's
-- record, so that a WAIT on this connection confirms it (rule 23).
--
-- ARGV  lane, batch ('' = none), send_at (unix ms or ''), expires_in (ms or ''), on_unknown ('' = ask), rules version,
--       trace ('' = none), then for each job: id, message ('' = only if its key is known), key hash ('' = none), content hash ('' = none;
--       several, each of another key, with spaces between: the first is stored),
--       tried (ms since this producer handed the same key to Redis before, or ''): if that, or the first try of this very
--       call, was in an earlier epoch, a ledger that doesn't know the job may have forgotten it after it was called: it
--       begins in doubt (rule 21)
-- Returns for each job
--   {'accepted', id, now, state}
--   {'known', id, now, when its batch was cancelled (ms) or 0, in doubt (1 or 0), field, value, ...}
--                                               the same key and content: that job
--   {'conflict', id}                            the key belongs to another content; nothing after it was looked at
--   {'not_known', id}                           no job has the key; nothing after it was looked at
-- Keeps rule 1: a new job is on its lane once, or once in `due`.
local lane, batch, send_at, expires_in, on_unknown, rules, trace = unpack(ARGV, 1, 7)
local now = NOW
local later = tonumber(send_at)
local state = later and later > now and 'scheduled' or 'queued'
local answers, waiting, accepted = {}, {}, 0
if batch ~= '' then redis.call('HLEN', batch_key(batch)) end   -- fails now, with nothing written, if it is no hash
local cancelled = stopped(batch)

local function known(id)
  redis.pcall('HINCRBY', job_key(id), 'asked', 1)
  return {'known', unpack(look(id, now))}
end

-- Whose the idempotency key is: job id and "<job id> <content hash>", or nothing.
local function owner_of(key_hash)
  local owned = key_hash ~= '' and lenient('GET', 'smsq:key:' .. key_hash)
  local owner = type(owned) == 'string' and owned:match('^%S+')
  if owner then return owner, owned end
end

-- Whether a stored content's hash is certainly another than those offered. One that is keyed ("<key>.<hash>") is compared
-- with those of the same key: a caller who doesn't have that key can't tell, and is given the key's job. So is who comes
-- after the content was erased in its time ('?').
local function is_another(stored, offered)
  local key = stored:match('^%x+%.')
  for content in offered:gmatch('%S+') do
    if content == stored then return false end
    if key and content:sub(1, #key) == key then return true end
  end
  return not key and stored ~= '?'
end

for i = 8, #ARGV, 5 do
  local id, message, key_hash, content, tried = unpack(ARGV, i, i + 4)
  local owner, owned = owner_of(key_hash)
  if owner and owned ~= owner .. ' ' .. content and is_another(owned:sub(#owner + 2), content) then
    answers[#answers + 1] = {'conflict', owner}
    break
  elseif owner and redis.call('EXISTS', job_key(owner)) == 1 then
    answers[#answers + 1] = known(owner)
  elseif redis.call('EXISTS', job_key(id)) == 1 then
    answers[#answers + 1] = known(id)
  elseif message == '' then
    answers[#answers + 1] = {'not_known', id}
    break
  else
    if tried ~= '' or TRIED > 0 then in_due('ZREM', id) end   -- else nobody can know it yet
    local doubt = now - math.max(tonumber(tried) or 0, TRIED) < EPOCH.started
    local fields = {'v', VERSION, 'state', state, 'lane', lane, 'at', now, 'rules', rules,
                    'epoch', doubt and 0 or EPOCH.number}
    local function add(name, value) fields[#fields + 1] = name; fields[#fields + 1] = value end
    if batch ~= '' then add('batch', batch) end
    if expires_in ~= '' then add('expires', now + tonumber(expires_in)) end
    if on_unknown ~= '' then add('on_unknown', on_unknown) end
    if trace ~= '' then add('trace', trace) end
    if state == 'scheduled' then add('send_at', later) end   -- for the timeline; `due` alone decides
    if key_hash ~= '' then
      add('key', key_hash)
      redis.call('SET', 'smsq:key:' .. key_hash, id .. ' ' .. content:match('^%S*'))
    end
    add_message(fields, message)
    redis.call('HSET', job_key(id), unpack(fields))
    accepted = accepted + 1
    if state == 'scheduled' then schedule(id, later) else waiting[#waiting + 1] = id end
    answers[#answers + 1] = {'accepted', id, now, cancelled and not doubt and 'cancelled' or state}   -- rule 22
  end
end
if #waiting > 0 then enter_lane(lane, batch, waiting) end
if batch ~= '' and accepted > 0 then
  redis.call('HSETNX', batch_key(batch), 'first', now)
  count(batch, nil, state, now, nil, accepted)
end
return answers
