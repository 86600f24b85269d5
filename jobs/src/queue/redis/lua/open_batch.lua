-- Opens a batch.
--
-- ARGV[3]  the batch
-- ARGV[4]  the id of its closing job, and
-- ARGV[5]  its payload,
-- ARGV[6]  its due time or "",
-- ARGV[7]  its options as "jobs" keeps them,
-- ARGV[8]  the limits of its group or ""
-- Returns  0 opened, 1 there already, 2 closed: its closing job is there
local batch, key = ARGV[3], Q .. 'batch:' .. ARGV[3]
if redis.call('EXISTS', key) == 1 then return 1 end
if redis.call('HEXISTS', Q .. 'jobs', ARGV[4]) == 1 or redis.call('HEXISTS', Q .. 'ended', ARGV[4]) == 1 then return 2 end
redis.call('ZADD', Q .. 'batches', 0, batch)
redis.call('HSET', key, 'opened', string.format('%.0f', now), 'id', ARGV[4], 'payload', ARGV[5], 'due', ARGV[6], 'side', ARGV[7],
  'limits', ARGV[8])
return 0
