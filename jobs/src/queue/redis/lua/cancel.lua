-- Ends a waiting job, asks a running one to stop.
--
-- ARGV[3]  the id
-- Returns  "ended", "asked", "already" or "unknown"
local id = ARGV[3]
if redis.call('HEXISTS', Q .. 'running', id) == 1 then
  redis.call('SADD', Q .. 'cancel', id)
  return 'asked'
end
if redis.call('ZSCORE', Q .. 'dead', id) or redis.call('HEXISTS', Q .. 'ended', id) == 1 then return 'already' end
if redis.call('HEXISTS', Q .. 'jobs', id) == 0 then return 'unknown' end
if redis.call('ZREM', Q .. 'due', id) == 0 then
  -- Walks the list: rare, done by people, and 20 ms at a million waiting jobs.
  redis.call('LREM', Q .. 'ready:' .. rank_of(redis.call('HGET', Q .. 'side', id)), 1, id)
end
bury(id, 'cancelled', nil)
return 'ended'
