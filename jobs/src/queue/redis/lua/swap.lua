-- Gives a dead job another payload.
--
-- ARGV[3]  the id
-- ARGV[4]  the payload that it is to have still
-- ARGV[5]  the new one
-- Returns  1 if it was done, else 0
local id = ARGV[3]
if not redis.call('ZSCORE', Q .. 'dead', id) or redis.call('HGET', Q .. 'jobs', id) ~= ARGV[4] then return 0 end
redis.call('HSET', Q .. 'jobs', id, ARGV[5])
return 1
