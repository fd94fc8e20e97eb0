#!lua flags=no-cluster,allow-oom
-- What a question to the gateway came to in place of an answer, for all who call: too many calls, or this worker's
-- account is refused. That the gateway fails, or that it is well again, only calls that send tell (`settle`).
--
-- ARGV  'slow' or 'account', reason, ms that nobody should call (with 'slow'), worker
-- Returns 'heard'
if ARGV[1] == 'slow' then
  slow_down(ARGV[2], tonumber(ARGV[3]), NOW)
else
  close(worker_gate(ARGV[4]), ARGV[2], NOW, false)
end
return 'heard'
