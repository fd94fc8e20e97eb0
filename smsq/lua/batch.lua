#!lua flags=no-cluster,no-writes
-- A batch's counts.
--
-- ARGV  batch
-- Returns {field, value, ...}, empty if the batch isn't known
return redis.call('HGETALL', batch_key(ARGV[1]))
