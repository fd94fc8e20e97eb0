#!lua flags=allow-oom
-- Lets time pass for the ledger. Redis's clock can't be turned, so every moment and every TTL that the scripts have
-- written comes nearer, or lies further back.
--
-- ARGV  by how much (ms)
local by = tonumber(ARGV[1])
local moments = {
  job = {'at', 'expires', 'done', 'send_at', 'put_off'}, batch = {'first', 'last', 'stopped'}, epoch = {'started'},
  gate = {'since', 'probe_at'}, 
  pace = {'next', 'hold', 'factor_until', 'share:asking', 'share:following', 'asker_until'},
}
local function earlier(moment) return string.format('%d', tonumber(moment) - by) end
local function move_texts(key)
  local ask, log, follow = unpack(redis.call('HMGET', key, 'ask', 'log', 'follow'))
  if ask then
    local whole, asking = pcall(cjson.decode, ask)
    for _, moment in ipairs(whole and {'first', 'last', 'from', 'absent'} or {}) do
      if tonumber(asking[moment]) then asking[moment] = asking[moment] - by end
    end
    if whole then redis.call('HSET', key, 'ask', cjson.encode(asking)) end
  end
  local asks, till, last = (follow or ''):match('^(%d+) (%d+) (%d+)$')
  if asks then
    redis.call('HSET', key, 'follow', string.format('%d %d %d', asks, math.max(0, till - by), math.max(0, last - by)))
  end
  if log then redis.call('HSET', key, 'log', (log:gsub('%f[^\n%z]%d+', earlier))) end
end
for _, key in ipairs(redis.call('KEYS', '*')) do
  local left, kind, type = redis.call('PTTL', key), key:match('^smsq:(%a+)'), redis.call('TYPE', key).ok
  if left >= 0 and left <= by then
    redis.call('DEL', key)
  else
    if left >= 0 then redis.call('PEXPIRE', key, left - by) end
    for _, moment in ipairs(type == 'hash' and moments[kind] or {}) do
      if tonumber(redis.call('HGET', key, moment)) then redis.call('HINCRBYFLOAT', key, moment, -by) end
    end
    if kind == 'job' and type == 'hash' then move_texts(key) end
    if type == 'hash' and (kind == 'workers' or kind == 'pause') then
      for _, field in ipairs(redis.call('HKEYS', key)) do
        redis.call('HSET', key, field, (redis.call('HGET', key, field):gsub('^%d+', earlier)))
      end
    end
    if type == 'zset' then
      for _, id in ipairs(redis.call('ZRANGE', key, 0, -1)) do redis.call('ZINCRBY', key, -by, id) end
    end
  end
end
local canary = redis.call('GET', 'smsq:canary')
if canary then redis.call('SET', 'smsq:canary', (canary:gsub(' %d+', function(at) return ' ' .. earlier(at) end, 1))) end
local ripens = redis.call('GET', 'smsq:canary:next')
if ripens then
  local id, called, epoch, settled = ripens:match('(%S+) (%d+) (%d+) (%d+)')
  redis.call('SET', 'smsq:canary:next', id .. ' ' .. earlier(called) .. ' ' .. epoch .. ' ' .. earlier(settled))
end
