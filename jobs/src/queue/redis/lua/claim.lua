-- Promotes what is due, then takes ready jobs for a worker.
--
-- ARGV[3]  the worker
-- ARGV[4]  how many at most, no more than 500
-- Returns  {-1} if the worker's lease has run out, else
--          {0, or 1 if it stopped before it had looked at all, milliseconds to the next due job or token or -1, now, lease,
--          for each job that became ready how many milliseconds ago it was due, id, payload, history or "", id, payload, …}
local worker, room = ARGV[3], tonumber(ARGV[4])
local expiry = redis.call('ZSCORE', Q .. 'workers', worker)
if not expiry or tonumber(expiry) < now then return { -1 } end
local switches = redis.call('MGET', Q .. 'paused', Q .. 'limit')
if switches[1] then return { 0, -1, now, '' } end
local full = false
if switches[2] then
  local left = switches[2] - redis.call('HLEN', Q .. 'running')
  full = left <= room
  room = math.min(room, left)
  if room <= 0 then return { 0, -1, now, '' } end
end

local aside = redis.call('EXISTS', Q .. 'side') == 1
local found = redis.call('ZRANGEBYSCORE', Q .. 'due', '-inf', now, 'WITHSCORES', 'LIMIT', 0, 500)
local due, late = {}, {}
for at = 1, #found, 2 do
  due[#due + 1] = found[at]
  late[#late + 1] = now - found[at + 1]
end
if #due > 0 then
  redis.call('ZREM', Q .. 'due', unpack(due))
  redis.call('HSET', Q .. 'since', unpack(found))
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

-- The place of a job within its priority is a number drawn when it leaves its list: the claim and the position in it. What waits
-- with a place (in "back" and "limited") has left the list before what is still there, so it stands before that.
local epoch, drawn = nil, 0
local function base()
  epoch = epoch or redis.call('HINCRBY', Q .. 'stats', 'epoch', 1)
  return epoch * 4096
end

local ids, sides, placed, more = {}, {}, {}, #due == 500
local function choose()
  local grouped = redis.call('EXISTS', Q .. 'grouped') == 1
  if grouped then
    local waited = redis.call('ZRANGEBYSCORE', Q .. 'tokens', '-inf', now, 'LIMIT', 0, 100)
    for _, group in ipairs(waited) do
      redis.call('ZREM', Q .. 'tokens', group)
      unpark(group)
    end
    more = more or #waited == 100
  end

  local lines, groups, parked, tokens = {}, {}, {}, {}
  local parkings, busiest = 0, nil
  for rank = 0, 3 do lines[rank] = { at = 1, asked = 0 } end

  local function pull(rank)
    local line, want = lines[rank], room - #ids
    -- Of a priority that others precede only a small share will be taken.
    if busiest and busiest ~= rank then want = math.floor(want / 32) + 1 end
    line.asked = math.min(500, math.max(want, 2 * line.asked))
    local names, items = {}, {}
    -- What is no id was written by nobody here. Handed out, it would fail this claim, come back, and fail the next.
    local back = redis.call('ZPOPMIN', Q .. 'back:' .. rank, line.asked)
    for at = 1, #back, 2 do
      if #back[at] == 16 then
        names[#names + 1] = back[at]
        items[#items + 1] = { id = back[at], place = tonumber(back[at + 1]) }
      end
    end
    local list = #back == 0 and redis.call('LPOP', Q .. 'ready:' .. rank, line.asked) or {}
    for _, id in ipairs(list) do
      drawn = drawn + 1
      if #id == 16 then
        names[#names + 1] = id
        items[#items + 1] = { id = id, place = base() + drawn, fresh = true }
      end
    end
    if #names == 0 and #back + #list > 0 then return end
    if #names == 0 then
      line.dry = true
      if busiest == rank then busiest = nil end
      return
    end
    busiest = busiest or rank
    local options = aside and redis.call('HMGET', Q .. 'side', unpack(names)) or {}
    for n, item in ipairs(items) do
      item.side = options[n]
      local group = grouped and group_of(item.side)
      if group then
        groups[group] = groups[group] or read_group(group)
        item.group = groups[group]
      end
    end
    items.at, items.asked = 1, line.asked
    lines[rank] = items
  end

  -- Returns nothing if the job may start, else what its group waits for: true for a slot, or the milliseconds to a token.
  local function blocked(it)
    if not it then return nil end
    if it.most and it.running >= it.most then return true end
    if it.starts and it.parts < it.per then return wait_for(it, it.per) end
  end

  local function park(rank, item, reason)
    parkings = parkings + 1
    for _, key in ipairs({ Q .. 'limited:' .. rank, Q .. 'limited:' .. rank .. ':' .. item.group.name }) do
      local list = parked[key] or {}
      parked[key] = list
      list[#list + 1] = string.format('%.0f', item.place)
      list[#list + 1] = item.id
    end
    if reason ~= true then tokens[item.group.name] = now + reason end
  end

  -- Says whether a priority has a job that may start, which is then at the head of its line.
  local function waits(rank)
    while parkings < 500 do
      local line = lines[rank]
      local item = line[line.at]
      if item then
        local reason = blocked(item.group)
        if not reason then return true end
        park(rank, item, reason)
        line.at = line.at + 1
      elseif line.dry or drawn >= 3500 then
        return false
      else
        pull(rank)
      end
    end
    return false
  end

  -- The next limited job of a group that is still open, to the place that is its own.
  local function follow(rank, it)
    local key = Q .. 'limited:' .. rank .. ':' .. it.name
    local first = redis.call('ZPOPMIN', key)
    if not first[1] then return end
    redis.call('ZREM', Q .. 'limited:' .. rank, first[1])
    local line, place = lines[rank], tonumber(first[2])
    local last = line[#line]
    if line.at > #line or place > last.place then
      redis.call('ZADD', Q .. 'back:' .. rank, first[2], first[1])
      line.dry = nil
      return
    end
    local at = line.at
    while line[at].place < place do at = at + 1 end
    local side = redis.call('HGET', Q .. 'side', first[1])
    table.insert(line, at, { id = first[1], place = place, side = side, group = it })
  end

  local text, changed = redis.call('GET', Q .. 'turns'), false
  local passed = {}
  for rank = 0, 3 do passed[rank] = 0 end
  if text then
    passed[0], passed[1], passed[2], passed[3] = string.match(text, '^(%d+),(%d+),(%d+),(%d+)$')
    for rank = 0, 3 do passed[rank] = tonumber(passed[rank]) end
  end

  while #ids < room do
    local ready, first, least = {}, nil, nil
    for rank = 0, 3 do
      ready[rank] = waits(rank)
      if ready[rank] then first, least = first or rank, rank end
    end
    if parkings >= 500 or drawn >= 3500 then
      more = true
      break
    end
    if not first then break end
    -- As `queue/turns.rs` has it.
    local turn = first
    if first ~= least then
      for rank = 3, first + 1, -1 do
        if ready[rank] and passed[rank] >= 31 then
          turn = rank
          break
        end
      end
      passed[turn], changed = 0, true
      for rank = turn + 1, 3 do
        if ready[rank] then passed[rank] = passed[rank] + 1 end
      end
    end
    local line = lines[turn]
    local item = line[line.at]
    line.at = line.at + 1
    ids[#ids + 1] = item.id
    sides[#ids] = item.side
    placed[#placed + 1] = item.id
    placed[#placed + 1] = string.format('%.0f', item.place)
    local it = item.group
    if it then
      it.touched, it.waiting, it.running = true, it.waiting - 1, it.running + 1
      if it.starts then it.parts = it.parts - it.per end
      if not blocked(it) then follow(turn, it) end
    end
  end

  for rank = 0, 3 do
    local line, rest = lines[rank], {}
    for at = #line, line.at, -1 do
      local item = line[at]
      if item.fresh then rest[#rest + 1] = item.id else redis.call('ZADD', Q .. 'back:' .. rank, string.format('%.0f', item.place), item.id) end
    end
    if #rest > 0 then redis.call('LPUSH', Q .. 'ready:' .. rank, unpack(rest)) end
  end
  for key, list in pairs(parked) do redis.call('ZADD', key, unpack(list)) end
  for group, at in pairs(tokens) do redis.call('ZADD', Q .. 'tokens', string.format('%.0f', at), group) end
  for name, it in pairs(groups) do
    if it.touched then
      local key = Q .. 'group:' .. name
      redis.call('HSET', key, 'w', it.waiting, 'r', it.running)
      if it.starts then redis.call('HSET', key, 'p', string.format('%.0f', it.parts), 'a', string.format('%.0f', it.at)) end
    end
  end
  if changed then redis.call('SET', Q .. 'turns', table.concat({ passed[0], passed[1], passed[2], passed[3] }, ',')) end
end

if aside or redis.call('EXISTS', Q .. 'back:2') == 1 then
  choose()
else
  -- Only plain jobs, none of which was handed back: the common case. Should some be, those of one claim will stand in the order
  -- of their ids, which is worth no number for each.
  local list = redis.call('LPOP', Q .. 'ready:2', room) or {}
  for _, id in ipairs(list) do
    if #id == 16 then ids[#ids + 1] = id end
  end
  more = more or #ids < #list
end

local reply = { more and 1 or 0, -1, now, '', late }
if #ids > 0 then
  -- Longer than 64 bytes, beyond which the server keeps a hash as a hash table: the packed list of a short one is searched from
  -- end to end for each job.
  local lease = string.format('%s:%036.0f:%.0f', worker, base() / 4096, now)
  reply[4] = lease
  local payloads = redis.call('HMGET', Q .. 'jobs', unpack(ids))
  local histories = redis.call('EXISTS', Q .. 'history') == 1 and redis.call('HMGET', Q .. 'history', unpack(ids)) or {}
  if redis.call('EXISTS', Q .. 'since') == 1 then redis.call('HDEL', Q .. 'since', unpack(ids)) end
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
  if #placed > 0 then redis.call('HSET', Q .. 'place', unpack(placed)) end
end

if more or (#ids >= room and not full) then
  -- There may be more than this worker asked for: the next one must not sleep.
  wake()
end
if not more and #ids < tonumber(ARGV[4]) then
  local first = redis.call('ZRANGE', Q .. 'due', 0, 0, 'WITHSCORES')
  local token = aside and redis.call('ZRANGE', Q .. 'tokens', 0, 0, 'WITHSCORES') or {}
  local at = math.min(first[2] or math.huge, token[2] or math.huge)
  if at < math.huge then reply[2] = math.max(0, at - now) end
end
return reply
