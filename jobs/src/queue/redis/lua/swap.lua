-- Gives a dead job another payload.
--
-- ARGV[3]  the id
-- ARGV[4]  the payload that it is to have still
-- ARGV[5]  the new one
-- Returns  1 if it was done, else 0
local id = ARGV[3]
local value = redis.call('HGET', Q .. 'jobs', id)
if not value or not redis.call('ZSCORE', Q .. 'dead', id) or payload_of(value) ~= ARGV[4] then return 0 end
redis.call('HSET', Q .. 'jobs', id, value_of(side_of(value), ARGV[5]))
return 1
