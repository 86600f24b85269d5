-- Tells which running jobs of a worker were asked to stop.
--
-- ARGV[3]  the worker
-- Returns  their ids, of more than 500 any 500
local worker, stop = ARGV[3], {}
for _, id in ipairs(redis.call('SRANDMEMBER', Q .. 'cancel', 500)) do
  local lease = redis.call('HGET', Q .. 'running', id)
  if lease and string.sub(lease, 1, #worker) == worker then stop[#stop + 1] = id end
end
return stop
