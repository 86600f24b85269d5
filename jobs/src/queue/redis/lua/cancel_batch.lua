-- Ends a bounded part of the members of a batch that wait, and asks those that run to stop.
--
-- ARGV[3]  the batch
-- ARGV[4]  where the last part ended, "0" at first
-- Returns  {where this part ended, "0" when all is done; how many have ended; how many were asked}, or false if there is no such batch
local batch, key = ARGV[3], Q .. 'batch:' .. ARGV[3]
if redis.call('EXISTS', key) == 0 then return false end
redis.call('HSET', key, 'sealed', 1, 'stopped', 1)
-- Few at once, because each that is ready may cost a walk through its list.
local part = redis.call('SSCAN', Q .. 'left:' .. batch, ARGV[4], 'COUNT', 20)
local ended, asked = 0, 0
for _, id in ipairs(part[2]) do
  if redis.call('HEXISTS', Q .. 'running', id) == 1 then
    asked = asked + redis.call('SADD', Q .. 'cancel', id)
  elseif redis.call('SISMEMBER', Q .. 'left:' .. batch, id) == 1 then
    take_out(id)
    bury(id, options_of(id), 'waits', 'cancelled', nil)
    ended = ended + 1
  end
end
close_if_done(batch)
return { part[1], ended, asked }
