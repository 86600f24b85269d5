-- Fixes the limits of a group, or takes that back.
--
-- ARGV[3]  the group
-- ARGV[4]  the limits, or "" for those that its jobs bring
-- Returns  nothing
local group = ARGV[3]
if ARGV[4] == '' then
  if not redis.call('ZSCORE', Q .. 'grouped', group) then return redis.status_reply('OK') end
  set_limits(group, '', true)
  forget_idle({ group })
else
  name_groups({ group })
  set_limits(group, ARGV[4], true)
end
return redis.status_reply('OK')
