-- Takes the jobs of a worker back, a bounded part at a time.
--
-- ARGV[3]  the worker
-- ARGV[4]  where the last part ended; "0" at first
-- ARGV[5]  "dead" if the worker must be dead: its jobs are recovered. "leaves" if it leaves by itself and "lives" if it only
--          wants to be rid of jobs: they are handed back.
-- ARGV[6]  how many recoveries a job may have before it is poison
-- ARGV[7]  the fingerprint of the error of poison
-- ARGV     from 8 on: ids of jobs that it keeps
-- Returns  {where this part ended; "0" when all is done, how many jobs were taken}
local worker, cursor, dead = ARGV[3], ARGV[4], ARGV[5] == 'dead'
local kept = {}
for at = 8, #ARGV do kept[ARGV[at]] = true end
local expiry = redis.call('ZSCORE', Q .. 'workers', worker)
if dead and (not expiry or tonumber(expiry) >= now) then return { '0', 0 } end

local taken = 0
for _ = 1, 5 do
  local part = redis.call('HSCAN', Q .. 'running', cursor, 'COUNT', 100)
  cursor = part[1]
  for at = 1, #part[2], 2 do
    local id, entry = part[2][at], part[2][at + 1]
    if string.sub(entry, 1, #worker) == worker and not kept[id] then
      local lease, head = lease_of(entry)
      local side = options_behind(id, head)
      taken = taken + 1
      redis.call('HDEL', Q .. 'running', id)
      local place = redis.call('HGET', Q .. 'place', id)
      if place then redis.call('HDEL', Q .. 'place', id) end
      local history = history_of(id)
      if dead then history.r = history.r + 1 else history.h = history.h + 1 end
      if redis.call('SREM', Q .. 'cancel', id) == 1 then
        redis.call('HSET', Q .. 'history', id, cjson.encode(history))
        bury(id, side, 'runs', 'cancelled', lease)
      elseif dead and history.r > tonumber(ARGV[6]) then
        history.e = history.r .. ' workers died while running this job'
        die(id, side, lease, history, 'poison', ARGV[7])
      else
        redis.call('HSET', Q .. 'history', id, cjson.encode(history))
        stand_again(id, side, lease, place)
        regroup(side, 'runs', 'waits')
      end
    end
  end
  if cursor == '0' then break end
end
-- What ended has left a slot of the queue, if they are limited.
if taken > 0 then wake() end
if dead and taken > 0 then redis.call('HINCRBY', Q .. 'stats', 'recovered', taken) end
if cursor == '0' and ARGV[5] ~= 'lives' then
  redis.call('ZREM', Q .. 'workers', worker)
  redis.call('HDEL', Q .. 'winfo', worker)
  -- It may have taken a marker with it.
  if not dead then wake() end
end
-- Between the parts of a leave, a claim that was still under way would not be seen any more: from here on it is refused.
if cursor ~= '0' and ARGV[5] == 'leaves' then redis.call('ZADD', Q .. 'workers', 0, worker) end
return { cursor, taken }
