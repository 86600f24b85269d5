-- Batches: what happens when a member ends. Between the groups and what ends jobs.

local Q, now = Q, now

-- Makes the closing job of a batch if it is sealed and nobody is left; returns whether it did.
local function close_if_done(batch)
  local key = Q .. 'batch:' .. batch
  if redis.call('HEXISTS', key, 'sealed') == 0 or redis.call('EXISTS', Q .. 'left:' .. batch) == 1 then return false end
  local have = redis.call('HMGET', key, 'id', 'payload', 'due', 'side', 'total', 'succeeded', 'dead', 'cancelled', 'limits')
  redis.call('DEL', key)
  redis.call('ZREM', Q .. 'batches', batch)
  local id, side, due = have[1], have[4], tonumber(have[3])
  -- Somebody has pushed it by itself.
  if redis.call('HEXISTS', Q .. 'jobs', id) == 1 or redis.call('HEXISTS', Q .. 'ended', id) == 1 then return true end
  local totals = {}
  for n = 1, 4 do totals[n] = tonumber(have[4 + n] or 0) end
  redis.call('HSET', Q .. 'jobs', id, value_of(side, have[2]))
  redis.call('HSET', Q .. 'history', id, cjson.encode({ f = 0, r = 0, h = 0, b = totals }))
  local group = group_of(side)
  if group then enroll({ [group] = { jobs = 1, texts = { have[9] or '' } } }) end
  redis.call('HINCRBY', Q .. 'stats', 'pushed', 1)
  if due and due > now then
    schedule(id, due)
  else
    redis.call('RPUSH', Q .. 'ready:' .. rank_of(side), id)
    wake()
  end
  return true
end

-- Counts the end of a job if it is a member of a batch; returns whether it was. A member ends once: it leaves the set.
local function leave_batch(id, side, how)
  if not side then return false end
  local _, _, _, batch = parts_of(side)
  if batch == '' or redis.call('SREM', Q .. 'left:' .. batch, id) == 0 then return false end
  redis.call('HINCRBY', Q .. 'batch:' .. batch, how, 1)
  close_if_done(batch)
  return true
end

-- Lets a job go on without its batch.
local function go_alone(id, side)
  local rank, until_what, group, _, key = parts_of(side)
  set_options(id, rank .. until_what .. group .. '\n\n' .. key)
end
