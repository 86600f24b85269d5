-- Says that a worker lives.
--
-- ARGV[3]  the worker
-- ARGV[4]  how long it is to be believed, in milliseconds
-- ARGV[5]  its description if it registers, else ""
-- Returns  {0 or 1 if the store took it for dead, workers that are dead, milliseconds until the first lease of another worker runs out
--          or -1}
local worker, info = ARGV[3], ARGV[5]
local function dead()
  return redis.call('ZRANGEBYSCORE', Q .. 'workers', '-inf', '(' .. string.format('%.0f', now), 'LIMIT', 0, 20)
end
if info ~= '' then
  redis.call('HSET', Q .. 'winfo', worker, info)
else
  local expiry = redis.call('ZSCORE', Q .. 'workers', worker)
  if not expiry or tonumber(expiry) < now then return { 1, dead(), -1 } end
end
redis.call('ZADD', Q .. 'workers', now + ARGV[4], worker)
tidy(100)

-- Who took the last marker may have died before it looked: what is ready or due must not wait for the next push.
if redis.call('EXISTS', Q .. 'paused') == 0 then
  local waits = redis.call('EXISTS', Q .. 'ready:0', Q .. 'ready:1', Q .. 'ready:2', Q .. 'ready:3',
    Q .. 'back:0', Q .. 'back:1', Q .. 'back:2', Q .. 'back:3') > 0
  for _, word in ipairs({ 'due', 'tokens' }) do
    local first = redis.call('ZRANGE', Q .. word, 0, 0, 'WITHSCORES')
    waits = waits or first[2] and tonumber(first[2]) <= now
  end
  if waits then wake() end
end

local next_expiry = -1
local alive = redis.call('ZRANGEBYSCORE', Q .. 'workers', string.format('%.0f', now), '+inf', 'WITHSCORES', 'LIMIT', 0, 2)
for at = 1, #alive, 2 do
  if alive[at] ~= worker then
    next_expiry = alive[at + 1] - now
    break
  end
end
return { 0, dead(), next_expiry }
