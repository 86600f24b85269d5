-- Says that a worker lives.
--
-- ARGV[3]  the worker
-- ARGV[4]  how long it is to be believed, in milliseconds
-- ARGV[5]  its description if it registers, else ""
-- Returns  {0 or 1 if the store took it for dead, workers that are dead}
local worker, info = ARGV[3], ARGV[5]
local function dead()
  return redis.call('ZRANGEBYSCORE', Q .. 'workers', '-inf', '(' .. string.format('%.0f', now), 'LIMIT', 0, 20)
end
if info ~= '' then
  redis.call('HSET', Q .. 'winfo', worker, info)
else
  local expiry = redis.call('ZSCORE', Q .. 'workers', worker)
  if not expiry or tonumber(expiry) < now then return { 1, dead() } end
end
redis.call('ZADD', Q .. 'workers', now + ARGV[4], worker)
tidy(100)
return { 0, dead() }
