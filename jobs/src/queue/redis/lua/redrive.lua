-- Makes dead jobs ready again with their counters at zero.
--
-- ARGV     from 3 on: ids
-- Returns  the ids that were dead
local moved = {}
for at = 3, #ARGV do
  local id = ARGV[at]
  if redis.call('ZREM', Q .. 'dead', id) == 1 then
    moved[#moved + 1] = id
    redis.call('HDEL', Q .. 'history', id)
    redis.call('HDEL', Q .. 'ended', id)
    local side = redis.call('HGET', Q .. 'side', id)
    -- The key was free while the job was dead; if another job took it, or its time is over, this one runs without.
    if side and string.sub(side, 2, 2) ~= '-' then
      local key, latest = key_of(side)
      if latest and latest <= now or hold(key, id) then go_keyless(id, side) end
    end
    redis.call('RPUSH', Q .. 'ready:' .. rank_of(side), id)
    wake()
  end
end
return moved
