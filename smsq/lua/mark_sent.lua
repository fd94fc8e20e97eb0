#!lua flags=no-cluster,allow-oom
-- Ends an unknown job as sent: a person has found its message at the gateway. As believed as anyone's "sent, with these
-- ids" (rule 11): not if another job owns the messageId.
--
-- ARGV  id, messageId, campaignId, campaign status, retention (ms)
-- Returns {word, the owner's id if it is 'owned'}
--   'sent'      now, or before with the same messageId
--   'owned'     another job owns the messageId; nothing changed
--   'other'     it is in another state, or sent under other ids; nothing changed
--   'forgotten' 'erased'   its number and text were erased (as `retry` has it); nothing changed
--   'gone' 'malformed' 'newer'   there is no record, or none that can be used; nothing changed
-- Keeps rule 1: `finish` finds a final job, and leaves it so.
local id, message_id, campaign_id, status, retention = unpack(ARGV)
local job, why = read(id)
if why then return {why} end
if job.state == 'sent' and job.message_id == message_id then
  redis.call('HSET', job_key(id), 'state', 'sent')   -- something for a WAIT to confirm
  return {'sent'}
end
if job.state ~= 'unknown' then return {'other'} end
local message, recipient = read_message(job_key(id)), ''   -- of a sealed one nothing is kept: nobody asks by it
if message:sub(1, 1) ~= '\1' then
  local whole, sms = pcall(cjson.decode, message)
  if not (whole and type(sms) == 'table' and type(sms.recipient) == 'string') then
    return {redis.call('HGET', job_key(id), 'erased') or 'malformed'}
  end
  recipient = sms.recipient
end
local given = {message_id = message_id, campaign_id = campaign_id, campaign_status = status, recipient = recipient}
if accept(job, given, NOW, tonumber(retention), job.attempts) == 'owned' then
  local key, field = bucket('message', message_id)
  return {'owned', redis.call('HGET', key, field)}
end
note(job, NOW, 'marked', 'an operator found it at the gateway')
return {'sent'}
