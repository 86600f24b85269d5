-- Fixes the limits of a group, or takes that back.
--
-- ARGV[3]  the group
-- ARGV[4]  the limits, or "" for those that its jobs bring
-- Returns  nothing
local group = ARGV[3]
if ARGV[4] == '' then
  set_limits(group, 'm', nil)
  forget_idle(group)
else
  if redis.call('ZADD', Q .. 'grouped', 0, group) == 1 then recall(group) end
  set_limits(group, 'm', ARGV[4])
end
return redis.status_reply('OK')
