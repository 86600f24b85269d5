-- Says that a worker lives.
--
-- ARGV[3]  the worker
-- ARGV[4]  how long it is to be believed, in milliseconds
-- ARGV[5]  its description if it registers, else ""
-- Returns  {0 or 1 if the store took it for dead, ids of its jobs that were asked to stop, workers that are dead}
local worker, info = ARGV[3], ARGV[5]
local function dead()
  return redis.call('ZRANGEBYSCORE', Q .. 'workers', '-inf', '(' .. string.format('%.0f', now), 'LIMIT', 0, 20)
end
if info ~= '' then
  redis.call('HSET', Q .. 'winfo', worker, info)
else
  local expiry = redis.call('ZSCORE', Q .. 'workers', worker)
  if not expiry or tonumber(expiry) < now then return { 1, {}, dead() } end
end
redis.call('ZADD', Q .. 'workers', now + ARGV[4], worker)

local stop = {}
for _, id in ipairs(redis.call('SRANDMEMBER', Q .. 'cancel', 500)) do
  local lease = redis.call('HGET', Q .. 'running', id)
  if lease and string.sub(lease, 1, #worker) == worker then stop[#stop + 1] = id end
end
return { 0, stop, dead() }
