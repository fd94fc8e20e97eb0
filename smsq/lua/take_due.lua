#!lua flags=no-cluster,allow-oom
-- The dispatcher's look: takes up to `limit` entries of `due` whose moment has come, and tells who looks.
--
-- A reservation that was never begun goes back to the front of its lane; a schedule or a retry that came due goes to
-- its end. A lease that ran out is a worker that died in mid-call: the gateway may have the message, so it is asked
-- about, or goes back once to its lane, if its caller prefers two to none. A question whose moment has come is given to
-- the caller, with a token of its own (rule 12), urgent jobs' first. Whether its "absent" will be evidence is decided
-- now, when it is put (rules 13, 14, 19). An entry moves, it is never only removed (rule 4); one without a usable
-- record is parked.
--
-- ARGV  limit, look again (ms), retention (ms), lease (ms), questions to give at most, lease of a question (ms), nonce,
--       settling time (ms), the gateway's bound (ms), limit of asking (ms), tokens (as in `begin`), worker ('' = nobody's
--       look), its heartbeat (JSON), 1 under a rate limit else 0: then one worker at a time asks
-- Returns {ms until the next entry is due (-1: none), looked at, {id, what, ...}, {canary's messageId, its recipient},
--          {id, message, first (ms), attempts, 1 if "absent" will count else 0, the number that was called if it isn't
--           the job's own else '', 1 if it is in doubt else 0, its trace or '', its lane, ms since it might be sent, ...},
--          {what holds jobs back: 'circuit' | 'account' | 'pace' | 'pause <lane or all>', reason, ...}, how much is put aside}
--   what, for a person to hear: 'lost' (it is asked about) | 'resend' | 'parked'
-- Keeps rule 1.
local limit, again, retention, lease, room, patience, nonce, settling, bound, ask_limit, tokens, worker, heartbeat,
      paced = unpack(ARGV)
again, retention, lease, room = tonumber(again), tonumber(retention), tonumber(lease), tonumber(room)
patience, settling, bound, ask_limit = tonumber(patience), tonumber(settling), tonumber(bound), tonumber(ask_limit)
local now = NOW
local told, questions, asking = {}, {}, {}
local LOST = '{"reason":"the worker was lost during the call"}'
local RANK = {urgent = 1, normal = 2, bulk = 3}

local function tell(id, what) told[#told + 1] = id; told[#told + 1] = what end

local function lose(job, due)
  job.losses = job.losses + 1
  redis.call('HSET', job_key(job.id), 'losses', job.losses)
  note(job, now, 'lost', 'the worker was lost during the call')
  if job.on_unknown == 'resend' and not job.doubt and not ended(job, now) then
    unsettle(job, due - lease, due)
    save_ask(job)
    set_state(job, 'queued', now, 'on_unknown', 'resent', 'error', LOST)
    to_lane(job.lane, job.batch, {job.id}, true)
    return tell(job.id, 'resend')
  end
  start_asking(job, now, due - lease, due, 'queued', LOST)
  tell(job.id, 'lost')
end

-- Rounds of questions beside each other would have to share the questions' part of the pace, and none might come to its end.
-- Who comes with room has ended his own round, and leaves the next to others, if any comes.
local function may_ask()
  if paced ~= '1' or room <= 0 then return true end
  local found = named(PACE, 'asker', 'asker_until')
  if found.asker ~= worker then return not found.asker or (tonumber(found.asker_until) or 0) <= now end
  redis.call('HDEL', PACE, 'asker', 'asker_until')
  return false
end
if not may_ask() then room = 0 end

local canary_id, canary_called = canary(settling - bound)
local canary_ids = canary_id and lenient('HMGET', job_key(canary_id), 'message_id', 'recipient', 'called') or {}
if canary_ids.err or not (canary_ids[1] and canary_ids[2]) then canary_ids, canary_called = {}, nil end
canary_ids = {canary_ids[1], canary_ids[3] or canary_ids[2]}

local function question(job)
  local ask = job.ask
  local last = last_call(job, lease)
  local over = now >= last + settling
  local proof = canary_called and canary_called >= last + bound
  -- Over the limit it is asked once more: its answer gives up.
  if over and ask.empty and not proof and now - ask.from < ask_limit then return schedule(job.id, now + CANARY_PAUSE) end
  if room <= 0 then return schedule(job.id, now + 1000) end
  room = room - 1
  ask.asks, ask.token, ask.counts = (ask.asks or 0) + 1, nonce, over and proof or false
  save_ask(job)
  schedule(job.id, now + patience)
  local message = read_message(job_key(job.id))
  if tokens == '0' and not job.twin then register_twin(job, message) end   -- it came here without a begin
  for _, value in ipairs({job.id, message, ask.first, job.attempts, ask.counts and 1 or 0, job.called or '',
                         job.doubt and 1 or 0, redis.call('HGET', job_key(job.id), 'trace') or '', job.lane,
                         now - math.max(job.at, job.send_at or 0)}) do
    questions[#questions + 1] = value
  end
end

if worker ~= '' then lenient('HSET', 'smsq:workers', worker, now .. ' ' .. heartbeat) end
local ids = in_due('ZRANGE', '-inf', now, 'BYSCORE', 'LIMIT', 0, limit)
for _, id in ipairs(ids) do
  local job, why
  if alien(id) then why = 'no job\'s id' else job, why = read(id) end
  if why == 'newer' then
    schedule(id, now + again)
  elseif why then
    park(id, why)
    tell(id, 'parked')
  elseif FINAL[job.state] then
    in_due('ZREM', id)
  elseif job.asking then
    asking[#asking + 1] = job
  elseif job.state == 'sending' then
    lose(job, tonumber(in_due('ZSCORE', id)))
  else
    local how = ended(job, now)
    if how then
      end_uncalled(job, how, now, retention)
    else
      local reserved = job.state == 'queued'
      if not reserved then set_state(job, 'queued', now) end
      to_lane(job.lane, job.batch, {id}, reserved)
    end
  end
end
table.sort(asking, function(a, b) return RANK[a.lane] < RANK[b.lane] end)
for _, job in ipairs(asking) do question(job) end
if paced == '1' and #questions > 0 then redis.call('HSET', ours(PACE, 'hash'), 'asker', worker, 'asker_until', now + patience) end

local held_back = {}
for gate, key in pairs({circuit = CIRCUIT, account = worker_gate(worker)}) do
  if closed(key) then
    held_back[#held_back + 1] = gate
    held_back[#held_back + 1] = redis.call('HGET', key, 'reason') or ''
  end
end
local pace = lenient('HMGET', PACE, 'hold', 'factor_until', 'reason')
if not pace.err and math.max(tonumber(pace[1] or 0) or 0, tonumber(pace[2] or 0) or 0) > now then
  held_back[#held_back + 1] = 'pace'
  held_back[#held_back + 1] = pace[3] or ''
end
local pauses = lenient('HGETALL', 'smsq:pause')
for i = 1, pauses.err and 0 or #pauses, 2 do
  held_back[#held_back + 1] = 'pause ' .. pauses[i]
  held_back[#held_back + 1] = pauses[i + 1]:match('^%d+ (.*)$') or pauses[i + 1]
end
local next_due = -1
local first = in_due('ZRANGE', 0, 0, 'WITHSCORES')
if first[2] then next_due = math.max(0, tonumber(first[2]) - now) end
local aside = lenient('HLEN', 'smsq:parked')
return {next_due, #ids, told, canary_ids[1] and canary_ids or {}, questions, held_back, tonumber(aside) or 0}
