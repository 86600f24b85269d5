-- Describes the workers whose lease has not run out.
--
-- Returns  their descriptions
local live = redis.call('ZRANGEBYSCORE', Q .. 'workers', string.format('%.0f', now), '+inf', 'LIMIT', 0, 1000)
if #live == 0 then return {} end
local infos = {}
for _, info in ipairs(redis.call('HMGET', Q .. 'winfo', unpack(live))) do
  if info then infos[#infos + 1] = info end
end
return infos
