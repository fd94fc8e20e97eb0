-- Following a message after it was sent: what a moderator decides (campaign status 1), and whether it was delivered.
--
-- `follow`, a field of a record that is `sent`: "<answers so far> <until when, ms> <when the last was put, ms>". Such
-- a job has an entry in `smsq:follow`, and no other has. It is final all the same: rule 1 and `due` know nothing of it.
local FOLLOW = 'smsq:follow'
local MODERATOR = 30000            -- ms until the first question about a moderator's decision, doubled up to
local MODERATOR_LONGEST = 600000
local MODERATED = 2 * 86400000     -- ms after which nobody waits for it any more
local HINTED = 10000               -- ms between two questions at least, however often somebody hints to ask
local NOT_FOLLOWED = {}

-- A batch's counts of what became of its messages; not of a batch that is over already.
local function count_followed(batch, name, n)
  if batch == '' or redis.pcall('HEXISTS', batch_key(batch), 'first') ~= 1 then return end
  redis.pcall('HINCRBY', batch_key(batch), name, n)
end

local function follow_field(asks, till, last) return string.format('%d %d %d', asks, till, last) end

-- Begins to follow a message that was just accepted, if it waits for a moderator or its delivery is wanted (`follow`:
-- ms until the first question; `follow_for`: ms after which nobody asks). Returns fields of its record.
local function start_following(job, given, now)
  local moderated = given.campaign_status == '1'
  if not moderated and not given.follow then return NOT_FOLLOWED end
  if moderated then
    note(job, now, 'moderation', 'it waits for a moderator')
    count_followed(job.batch, 'moderation', 1)
  end
  redis.pcall('ZADD', FOLLOW, now + (moderated and MODERATOR or given.follow), job.id)   -- pcall: see `accept`
  return {'follow', follow_field(0, now + math.max(moderated and MODERATED or 0, given.follow_for or 0), 0)}
end

local function stop_following(id)
  redis.call('ZREM', FOLLOW, id)
  redis.pcall('HDEL', job_key(id), 'follow')
end

-- Puts back what a foreign hand took out of `smsq:follow`.
local function follow_again(id, now)
  local found = lenient('HGET', job_key(id), 'follow')
  if type(found) == 'string' then redis.call('ZADD', FOLLOW, 'NX', now, id) end
end

-- A job that is followed; nil if it isn't, or nil and 'newer'.
local function following(id)
  local found = lenient('HMGET', job_key(id), 'state', 'follow', 'message_id', 'campaign_id', 'campaign_status',
                        'delivery', 'batch', 'called', 'recipient', 'v')
  if found.err then return nil end
  if (tonumber(found[10] or 0) or 0) > VERSION then return nil, 'newer' end
  local asks, till, last = (found[2] or ''):match('^(%d+) (%d+) (%d+)$')
  local ids = (found[3] or '') .. ' ' .. (found[4] or '')
  if found[1] ~= 'sent' or not asks or not ids:match('^%d+ %d+$') then return nil end
  return {id = id, asks = tonumber(asks), till = tonumber(till), last = tonumber(last), message_id = found[3],
          campaign_id = found[4], moderated = found[5] == '1', delivery = found[6] or nil, batch = found[7] or '',
          recipient = found[8] or found[9] or ''}
end
