-- Looks at one bounded part of the queue, proves what it finds in this one instant, and repairs it.
--
-- ARGV[3]  what to look at: "jobs", a place, "ready:0" to "ready:3", a word of `besides`, "batches", "left:ID" or "batch:ID" of a
--          batch, "balance", "missing" or "twice"
-- ARGV[4]  where the last part ended, "" at first
-- ARGV[5]  "1" to repair
-- ARGV     from 6 on, for "missing" and "twice": ids that are suspected
-- Returns  {where this part ended, "" when all is done; how many it looked at; ids; found}
--          ids are for "batches" their names, for "jobs" those that have to be ready, for "ready:N" the entries that are right
--          found is three for each: kind, id or "", what besides
local look, cursor, repair = ARGV[3], ARGV[4], ARGV[5] == '1'
local ids, found, looked = {}, {}, 0
-- Without the mark all options would be taken for none, and what they say for wrong.
local marked = is_mixed()
mixed = true

-- Whoever leaves one of these places leaves its group too.
local function drop(place, id)
  if place.word == 'dead' then
    leave_dead(id)
    return
  end
  redis.call(place.drop, Q .. place.word, id)
  local group = place.limited and group_of(options_of(id))
  if group then redis.call('ZREM', Q .. place.word .. ':' .. group, id) end
end

-- Where a job can be besides the lists of the ready, in the order in which they win. A new place is a line here.
local places = {
  { word = 'running', has = 'HEXISTS', drop = 'HDEL', count = 'HLEN' },
  { word = 'due', has = 'ZSCORE', drop = 'ZREM', count = 'ZCARD' },
  { word = 'dead', has = 'ZSCORE', drop = 'ZREM', count = 'ZCARD' },
  { word = 'past', has = 'ZSCORE', drop = 'ZREM', count = 'ZCARD' },
}
for _, word in ipairs({ 'back', 'limited' }) do
  for rank = 0, 3 do
    places[#places + 1] = { word = word .. ':' .. rank, has = 'ZSCORE', drop = 'ZREM', count = 'ZCARD', limited = word == 'limited' }
  end
end

local function is_in(place, id)
  local answer = redis.call(place.has, Q .. place.word, id)
  return answer and answer ~= 0
end

local function is_job(id)
  return is_id(id) and redis.call('HEXISTS', Q .. 'jobs', id) == 1
end

local function note(kind, id, what)
  found[#found + 1], found[#found + 2], found[#found + 3] = kind, id, what
end

local function has_place(id)
  for _, place in ipairs(places) do
    if is_in(place, id) then return true end
  end
  return false
end

local unmarked = false
local function look_at_job(id, value)
  -- Its options would not be looked at.
  if side_of(value) and not unmarked and not marked then
    unmarked = true
    note('count', '', 'mixed')
    if repair then redis.call('SET', Q .. 'mixed', 1) end
  end
  if not is_id(id) then
    note('dangling', '', 'jobs')
    if repair then redis.call('HDEL', Q .. 'jobs', id) end
    return
  end
  local first
  for _, place in ipairs(places) do
    if is_in(place, id) then
      if first then
        note('doubled', id, place.word)
        if repair then drop(place, id) end
      else
        first = place.word
      end
    end
  end
  if not first then ids[#ids + 1] = id end
  -- The dead and the retained have a record of their end too, the others have not ended.
  if first ~= 'dead' and first ~= 'past' and redis.call('HEXISTS', Q .. 'ended', id) == 1 then
    note('doubled', id, 'ended')
    if repair then redis.call('HDEL', Q .. 'ended', id) end
  end
end

local unknown = {}
local function look_at_place(place, id, lease)
  if not is_job(id) then
    note('dangling', is_id(id) and id or '', place.word)
    if repair then drop(place, id) end
  elseif place.limited then
    local group = group_of(options_of(id))
    if not (group and redis.call('ZSCORE', Q .. place.word .. ':' .. group, id)) then
      note('homeless', id, place.word)
      if repair then
        redis.call('ZADD', Q .. 'back:' .. string.sub(place.word, -1), redis.call('ZSCORE', Q .. place.word, id), id)
        redis.call('ZREM', Q .. place.word, id)
        wake()
      end
    end
  elseif place.word == 'running' then
    local worker = string.match(lease, '^[^:]*')
    if not unknown[worker] and not redis.call('ZSCORE', Q .. 'workers', worker) then
      unknown[worker] = true
      note('unknown_worker', '', worker)
      -- Dead since ever: the next beat of anybody takes its jobs back.
      if repair then redis.call('ZADD', Q .. 'workers', 0, worker) end
    end
  end
end

-- What is kept beside the jobs, and the question that each entry has to answer with yes.
local besides = {
  told = { scan = 'HSCAN', drop = 'HDEL', kind = 'dangling', right = is_job },
  history = { scan = 'HSCAN', drop = 'HDEL', kind = 'dangling', right = is_job },
  cancel = { scan = 'SSCAN', drop = 'SREM', kind = 'idle_stop', right = function(id)
    return redis.call('HEXISTS', Q .. 'running', id) == 1
  end },
  place = { scan = 'HSCAN', drop = 'HDEL', kind = 'dangling', right = function(id)
    return redis.call('HEXISTS', Q .. 'running', id) == 1
  end },
  winfo = { scan = 'HSCAN', drop = 'HDEL', kind = 'dangling', right = function(worker)
    return redis.call('ZSCORE', Q .. 'workers', worker)
  end },
  unique = { scan = 'HSCAN', drop = 'HDEL', kind = 'held_key', right = function(key, id)
    if not is_job(id) or redis.call('ZSCORE', Q .. 'dead', id) or redis.call('ZSCORE', Q .. 'past', id) then return false end
    local side = options_of(id)
    if not side or string.sub(side, 2, 2) == '-' then return false end
    local own = key_of(side)
    return own == key
  end },
}

local function look_beside(word, entry, value)
  local beside = besides[word]
  if beside.right(entry, value) then return end
  local id = word == 'unique' and value or entry
  note(beside.kind, is_id(id) and word ~= 'winfo' and id or '', (word == 'unique' or word == 'winfo') and entry or word)
  if repair then redis.call(beside.drop, Q .. word, entry) end
end

-- Reads from the end to the head: entries that workers take from the head move the others towards what is still to be read.
local function look_at_ready(list)
  local left = redis.call('LLEN', list)
  if cursor ~= '' then left = math.min(left, tonumber(cursor)) end
  local from = math.max(0, left - 250)
  local entries = left > 0 and redis.call('LRANGE', list, from, left - 1) or {}
  local seen, wrong = {}, 0
  for n, id in ipairs(entries) do
    local kind
    if not is_job(id) then
      kind = 'dangling'
    elseif seen[id] or is_in(places[1], id) then
      kind = 'doubled'
    else
      seen[id] = true
      ids[#ids + 1] = id
      for at = 2, #places do
        if is_in(places[at], id) then
          note('doubled', id, places[at].word)
          if repair then drop(places[at], id) end
        end
      end
    end
    if kind then
      note(kind, is_id(id) and id or '', look)
      wrong = wrong + 1
      if repair then redis.call('LSET', list, from + n - 1, 'gone') end
    end
  end
  -- One walk through the list for all of them.
  if repair and wrong > 0 then redis.call('LREM', list, 0, 'gone') end
  looked = #entries
  cursor = from > 0 and tostring(from) or ''
end

-- A slot that is counted and that no job has would be lost for ever. Of more running jobs than one look may read it is not proven.
local running
local function running_of(group)
  if not running then
    running = {}
    local entries, ids = redis.call('HGETALL', Q .. 'running'), {}
    local function count(values)
      for _, side in ipairs(options_in(values)) do
        local name = group_of(side)
        if name then running[name] = (running[name] or 0) + 1 end
      end
    end
    for at = 1, #entries, 2 do
      local _, head = lease_of(entries[at + 1])
      if head then count({ head }) else ids[#ids + 1] = entries[at] end
    end
    for from = 1, #ids, 500 do count(redis.call('HMGET', Q .. 'jobs', unpack(ids, from, math.min(#ids, from + 499)))) end
  end
  return running[group] or 0
end

local function look_at_group(group)
  if redis.call('HLEN', Q .. 'running') > 5000 then return end
  if tonumber(redis.call('HGET', Q .. 'runs', group) or 0) ~= running_of(group) then
    note('count', '', 'group ' .. group)
    if repair then
      redis.call('HSET', Q .. 'runs', group, running_of(group))
      unpark(group)
    end
  end
end

local function lists()
  return { Q .. 'ready:0', Q .. 'ready:1', Q .. 'ready:2', Q .. 'ready:3' }
end

local function waiting()
  local sum = 0
  for _, list in ipairs(lists()) do sum = sum + redis.call('LLEN', list) end
  return sum
end

-- Walks through the lists for each suspect; beyond a million entries the rest has to wait for another call.
local function look_at_suspects(judge)
  local length, walked = waiting(), 0
  cursor = ''
  for at = 6, #ARGV do
    local id = ARGV[at]
    if is_job(id) and not has_place(id) then
      if walked > 0 and walked + length > 1000000 then
        cursor = tostring(at - 6)
        return
      end
      walked = walked + length
      judge(id)
    end
  end
end

local function judge_missing(id)
  for _, list in ipairs(lists()) do
    if redis.call('LPOS', list, id) then return end
  end
  note('homeless', id, 'ready')
  if repair then
    redis.call('RPUSH', Q .. 'ready:' .. rank_of(options_of(id)), id)
    wake()
  end
end

local function judge_twice(id)
  local kept = false
  for _, list in ipairs(lists()) do
    local times = #redis.call('LPOS', list, id, 'COUNT', 0)
    local extra = kept and times or times - 1
    if extra > 0 then
      note('doubled', id, 'ready')
      -- From the end, so that the first place in line stays.
      if repair then redis.call('LREM', list, -extra, id) end
    end
    kept = kept or times > 0
  end
end

-- A member that is no member would be waited for in vain.
local function look_at_left(batch, id)
  if is_job(id) and not redis.call('ZSCORE', Q .. 'dead', id) and not redis.call('ZSCORE', Q .. 'past', id) then
    local side = options_of(id)
    local _, _, _, own = parts_of(side or '2-\n\n')
    if own == batch then return end
  end
  note('dangling', is_id(id) and id or '', 'left')
  if repair then
    redis.call('SREM', Q .. 'left:' .. batch, id)
    redis.call('HINCRBY', Q .. 'batch:' .. batch, 'total', -1)
  end
end

local function look_at_batch(batch)
  local key = Q .. 'batch:' .. batch
  local have = redis.call('HMGET', key, 'id', 'total', 'succeeded', 'dead', 'cancelled', 'sealed')
  if not have[1] then return end
  local ended = tonumber(have[3] or 0) + tonumber(have[4] or 0) + tonumber(have[5] or 0)
  local left = redis.call('SCARD', Q .. 'left:' .. batch)
  if tonumber(have[2] or 0) ~= ended + left then
    note('count', '', 'batch ' .. batch)
    if repair then redis.call('HSET', key, 'total', ended + left) end
  end
  if have[6] and left == 0 then
    note('unclosed', '', 'batch ' .. batch)
    if repair then close_if_done(batch) end
  end
end

if look == 'balance' then
  looked = redis.call('HLEN', Q .. 'jobs') - waiting()
  for _, place in ipairs(places) do looked = looked - redis.call(place.count, Q .. place.word) end
  cursor = ''
elseif look == 'missing' then
  look_at_suspects(judge_missing)
elseif look == 'twice' then
  look_at_suspects(judge_twice)
elseif look == 'batches' then
  local part = redis.call('ZSCAN', Q .. 'batches', cursor == '' and '0' or cursor, 'COUNT', 250)
  cursor = part[1] == '0' and '' or part[1]
  for at = 1, #part[2], 2 do
    ids[#ids + 1] = part[2][at]
    if redis.call('EXISTS', Q .. 'batch:' .. part[2][at]) == 0 then
      note('dangling', '', 'batches')
      if repair then redis.call('ZREM', Q .. 'batches', part[2][at]) end
    end
  end
elseif string.sub(look, 1, 5) == 'left:' then
  local part = redis.call('SSCAN', Q .. look, cursor == '' and '0' or cursor, 'COUNT', 250)
  cursor = part[1] == '0' and '' or part[1]
  for _, id in ipairs(part[2]) do look_at_left(string.sub(look, 6), id) end
elseif string.sub(look, 1, 6) == 'batch:' then
  look_at_batch(string.sub(look, 7))
  cursor = ''
elseif string.sub(look, 1, 6) == 'ready:' then
  look_at_ready(Q .. look)
else
  local place
  for _, each in ipairs(places) do
    if each.word == look then place = each end
  end
  local scan = look == 'grouped' and 'ZSCAN' or place and (place.count == 'HLEN' and 'HSCAN' or 'ZSCAN') or besides[look] and besides[look].scan or 'HSCAN'
  -- A part of "jobs" brings the payloads along.
  local part = redis.call(scan, Q .. look, cursor == '' and '0' or cursor, 'COUNT', look == 'jobs' and 100 or 250)
  cursor = part[1] == '0' and '' or part[1]
  local width = scan == 'SSCAN' and 1 or 2
  for at = 1, #part[2], width do
    looked = looked + 1
    if look == 'jobs' then
      look_at_job(part[2][at], part[2][at + 1])
    elseif look == 'grouped' then
      look_at_group(part[2][at])
    elseif place then
      look_at_place(place, part[2][at], part[2][at + 1])
    else
      look_beside(look, part[2][at], part[2][at + 1])
    end
  end
end
return { cursor, looked, ids, found }
