-- Takes the jobs of a worker back, a bounded part at a time.
--
-- ARGV[3]  the worker
-- ARGV[4]  where the last part ended; "0" at first
-- ARGV[5]  "1" if the worker leaves by itself: its jobs are handed back. Else it must be dead, and they are recovered.
-- ARGV[6]  how many recoveries a job may have before it is poison
-- Returns  {where this part ended; "0" when all is done, how many jobs were taken}
local worker, cursor, leaves = ARGV[3], ARGV[4], ARGV[5] == '1'
local expiry = redis.call('ZSCORE', Q .. 'workers', worker)
if not leaves and (not expiry or tonumber(expiry) >= now) then return { '0', 0 } end

local taken = 0
for _ = 1, 5 do
  local part = redis.call('HSCAN', Q .. 'running', cursor, 'COUNT', 100)
  cursor = part[1]
  for at = 1, #part[2], 2 do
    local id, lease = part[2][at], part[2][at + 1]
    if string.sub(lease, 1, #worker) == worker then
      taken = taken + 1
      redis.call('HDEL', Q .. 'running', id)
      local history = history_of(id)
      if leaves then history.h = history.h + 1 else history.r = history.r + 1 end
      if redis.call('SREM', Q .. 'cancel', id) == 1 then
        redis.call('HSET', Q .. 'history', id, cjson.encode(history))
        bury(id, 'cancelled', lease)
      elseif history.r > tonumber(ARGV[6]) then
        history.e = 'workers died while running this job ' .. history.r .. ' times'
        die(id, lease, history, 'poison')
      else
        redis.call('HSET', Q .. 'history', id, cjson.encode(history))
        redis.call('LPUSH', Q .. 'ready:' .. rank_of(redis.call('HGET', Q .. 'side', id)), id)
        wake()
      end
    end
  end
  if cursor == '0' then break end
end
if not leaves and taken > 0 then redis.call('HINCRBY', Q .. 'stats', 'recovered', taken) end
if cursor == '0' then
  redis.call('ZREM', Q .. 'workers', worker)
  redis.call('HDEL', Q .. 'winfo', worker)
  -- It may have taken a marker with it.
  if leaves then wake() end
end
return { cursor, taken }
