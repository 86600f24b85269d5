-- Seals a batch.
--
-- ARGV[3]  the batch
-- Returns  -1 if there is none, else how many members are left; at 0 its closing job has been made
local batch, key = ARGV[3], Q .. 'batch:' .. ARGV[3]
if redis.call('EXISTS', key) == 0 then return -1 end
redis.call('HSET', key, 'sealed', 1)
local left = redis.call('SCARD', Q .. 'left:' .. batch)
close_if_done(batch)
return left
