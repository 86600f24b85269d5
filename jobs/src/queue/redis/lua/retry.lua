-- Makes a scheduled job ready now.
--
-- ARGV[3]  the id
-- Returns  1 if it was scheduled, else 0
local id = ARGV[3]
if redis.call('ZREM', Q .. 'due', id) == 0 then return 0 end
ready_now(id)
redis.call('RPUSH', Q .. 'ready:' .. rank_of(options_of(id)), id)
wake()
return 1
