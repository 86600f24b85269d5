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
take_out(id)
bury(id, options_of(id), 'waits', 'cancelled', nil)
return 'ended'
