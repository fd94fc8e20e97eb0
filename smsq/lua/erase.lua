#!lua flags=no-cluster,allow-oom
-- A step of erasing a person: looks through some keys for jobs of one number. What has ended loses number, text and all
-- that either could be guessed from; its ids, state and times stay. An idempotency key stays its job's, but no content
-- fits it any more: the same key can't send twice (rule 21).
--
-- A job that waits is cancelled only if that is wanted, as `cancel` does it. One of which a call may be out, or isn't
-- settled, keeps what it is sent or asked about by.
--
-- ARGV  cursor ('0' to begin), keys to look at, about, number (digits), 1 to cancel what waits else 0, retention (ms),
--       then for each key of `SMSQ_ENCRYPTION_KEY`: what the number's sealed messages begin with, and its sealed number
--       (`smsq/encryption.py`)
-- Returns {next cursor ('0': all were looked at), erased, of these cancelled, left that wait, left that are under way, left
--         that can't be used, left because they are sealed with none of these keys, whoever they belong to}
-- Keeps rule 1: only `finish` and `start_asking` move a job.
local cursor, count, number, cancels, retention = unpack(ARGV, 1, 5)
retention = tonumber(retention)
local HEAD = '{"recipient":"'   -- as `message.dump` writes it; it is in the first piece, whole
local SEALED, SEALED_NUMBER = '\1', '^A'
local erased, cancelled, waiting, under_way, unusable, locked = 0, 0, 0, 0, 0, 0

-- Of a sealed value the first characters say which key it was, some more whose number.
local KEY, HEAD_OF_SEALED = {m0 = 6, recipient = 8}, {m0 = 15, recipient = 20}
local known, marks = {m0 = {}, recipient = {}}, {m0 = {}, recipient = {}}
for i = 6, #ARGV do
  local kind = i % 2 == 0 and 'm0' or 'recipient'
  known[kind][ARGV[i]:sub(1, KEY[kind])], marks[kind][ARGV[i]] = true, true
end

-- Whether a sealed value is of the number; nil if none of the keys is its own.
local function sealed_is_theirs(kind, value)
  if not known[kind][value:sub(1, KEY[kind])] then return nil end
  return marks[kind][value:sub(1, HEAD_OF_SEALED[kind])] == true
end

local function message_is_theirs(key, first)
  if first:sub(1, #HEAD) == HEAD then return first:sub(#HEAD + 1, #HEAD + #number + 1) == number .. '"' end
  local message = read_message(key)
  local whole, sms = pcall(cjson.decode, message)
  if whole and type(sms) == 'table' and type(sms.recipient) == 'string' then return sms.recipient == number end
  return message:find(number, 1, true) ~= nil   -- a foreign hand has written it
end

local function theirs(key)
  local found = lenient('HMGET', key, 'recipient', 'called', 'm0')
  if found.err then return false end
  local recipient, called, first = found[1] or '', found[2], found[3] or ''
  if recipient == number or called == number then return true end
  if recipient:find(SEALED_NUMBER) then return sealed_is_theirs('recipient', recipient) end
  if first:sub(1, 1) == SEALED then return sealed_is_theirs('m0', first) end
  return first ~= '' and message_is_theirs(key, first)
end

local function look_at(key)
  local is_theirs = theirs(key)
  if is_theirs == nil then locked = locked + 1 end
  if not is_theirs then return end
  local job, why = read(key:sub(#'smsq:job:' + 1))
  if why then
    unusable = unusable + 1
    return
  end
  local was = job.state
  if not FINAL[was] and was ~= 'sending' then
    local how = ended(job, NOW) or cancels == '1' and 'cancelled'
    if not how then
      waiting = waiting + 1
      return
    end
    end_uncalled(job, how, NOW, retention)
  end
  if not FINAL[job.state] then
    under_way = under_way + 1
    return
  end
  if job.state == 'cancelled' and was ~= 'cancelled' then cancelled = cancelled + 1 end
  erase_person(job, 'forgotten')
  erased = erased + 1
end

local found = redis.call('SCAN', cursor, 'MATCH', 'smsq:job:*', 'COUNT', count)
for _, key in ipairs(found[2]) do look_at(key) end
return {found[1], erased, cancelled, waiting, under_way, unusable, locked}
