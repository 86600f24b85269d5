-- Promotes what is due, then takes ready jobs for a worker.
--
-- ARGV[3]  the worker
-- ARGV[4]  how many at most
-- Returns  {-1} if the worker's lease has run out, else
--          {0, milliseconds to the next due job or -1, now, lease, id, payload, history or "", id, payload, …}
local worker, limit = ARGV[3], tonumber(ARGV[4])
local expiry = redis.call('ZSCORE', Q .. 'workers', worker)
if not expiry or tonumber(expiry) < now then return { -1 } end
if redis.call('EXISTS', Q .. 'paused') == 1 then return { 0, -1, now, '' } end

local aside = redis.call('EXISTS', Q .. 'side') == 1
local due = redis.call('ZRANGEBYSCORE', Q .. 'due', '-inf', now, 'LIMIT', 0, 500)
if #due > 0 then
  redis.call('ZREM', Q .. 'due', unpack(due))
  local sides = aside and redis.call('HMGET', Q .. 'side', unpack(due)) or {}
  local lists = {}
  for n, id in ipairs(due) do
    local rank = rank_of(sides[n])
    local list = lists[rank] or {}
    lists[rank] = list
    list[#list + 1] = id
  end
  for rank, list in pairs(lists) do redis.call('RPUSH', Q .. 'ready:' .. rank, unpack(list)) end
end

local ids, more = {}, #due == 500
for rank = 0, 3 do
  local wanted = limit - #ids
  local taken = wanted > 0 and redis.call('LPOP', Q .. 'ready:' .. rank, wanted)
  if taken then
    more = more or #taken == wanted
    for _, id in ipairs(taken) do
      -- What is no id was written by nobody here. Handed out, it would fail this claim, come back, and fail the next.
      if #id == 16 then ids[#ids + 1] = id end
    end
  end
end

local reply = { 0, -1, now, '' }
if #ids > 0 then
  -- Longer than 64 bytes, beyond which the server keeps a hash as a hash table: the packed list of a short one is searched from
  -- end to end for each job.
  local epoch = redis.call('HINCRBY', Q .. 'stats', 'epoch', 1)
  local lease = string.format('%s:%036.0f:%.0f', worker, epoch, now)
  reply[4] = lease
  local payloads = redis.call('HMGET', Q .. 'jobs', unpack(ids))
  local histories = redis.call('EXISTS', Q .. 'history') == 1 and redis.call('HMGET', Q .. 'history', unpack(ids)) or {}
  local sides = aside and redis.call('HMGET', Q .. 'side', unpack(ids)) or {}
  local owned = {}
  for n, id in ipairs(ids) do
    if sides[n] and string.find(sides[n], '^.[sS]') then
      release(id, sides[n])
      go_keyless(id, sides[n])
    end
    owned[#owned + 1] = id
    owned[#owned + 1] = lease
    reply[#reply + 1] = id
    reply[#reply + 1] = payloads[n] or ''
    reply[#reply + 1] = histories[n] or ''
  end
  redis.call('HSET', Q .. 'running', unpack(owned))
end

if more then
  -- There may be more than this worker asked for: the next one must not sleep.
  wake()
else
  local first = redis.call('ZRANGE', Q .. 'due', 0, 0, 'WITHSCORES')
  if first[2] then reply[2] = math.max(0, first[2] - now) end
end
return reply
