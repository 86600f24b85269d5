-- Groups: their limits, who of them waits, and what opens them. Between the prelude and the scripts that move jobs.
--
-- The decisions are those of `queue/gate.rs`. Limits as text are "concurrency,starts,per_ms,burst", each of them or nothing. What is known
-- of a group is a field in a few hashes, so that one command reads or writes it for many.

local Q, now = Q, now

-- Takes an entry of "bounds" apart. What an operator says goes before what the jobs say.
local limits_in = knower(function(bounds)
  local pushed, pinned = string.match(bounds, '^([^\n]*)\n(.*)$')
  local most, starts, per, burst = string.match(pinned ~= '' and pinned or pushed, '^(%d*),(%d*),(%d*),(%d*)$')
  return {
    pushed = pushed, pinned = pinned, most = tonumber(most), starts = tonumber(starts), per = tonumber(per), burst = tonumber(burst),
  }
end)

-- Writes a number, which the server would do anew for each command; most of those of one script are alike.
local digits = knower(function(number) return string.format('%.0f', number) end)

local function group_of(side)
  if side and string.sub(side, 3, 3) ~= '\n' then return string.match(side, '^..([^\n]*)') end
end

-- Makes a group of its name, its limits, and its bucket if it has a rate.
local function group_with(name, bounds)
  local limits = limits_in(bounds or '\n')
  local it = {
    name = name, pushed = limits.pushed, pinned = limits.pinned,
    most = limits.most, starts = limits.starts, per = limits.per, burst = limits.burst,
  }
  if it.starts then
    local have = redis.call('HMGET', Q .. 'bucket:' .. name, 'p', 'a')
    it.parts = math.min(it.burst * it.per, (have[1] or 0) + math.max(0, now - (have[2] or 0)) * it.starts)
    it.at = now
  end
  return it
end

local function read_group(name)
  return group_with(name, redis.call('HGET', Q .. 'bounds', name))
end

-- Reads of groups their limits, and how many of their jobs wait and run.
local function fields_of_groups(names)
  if #names == 0 then return {}, {}, {} end
  local bounds, waits = redis.call('HMGET', Q .. 'bounds', unpack(names)), redis.call('HMGET', Q .. 'waits', unpack(names))
  return bounds, waits, redis.call('HMGET', Q .. 'runs', unpack(names))
end

local function read_groups(names)
  local bounds, waits, runs = fields_of_groups(names)
  local groups = {}
  for n, name in ipairs(names) do
    local it = group_with(name, bounds[n])
    it.waiting, it.running = tonumber(waits[n] or 0), tonumber(runs[n] or 0)
    groups[n] = it
  end
  return groups
end

local function write_bucket(it)
  redis.call('HSET', Q .. 'bucket:' .. it.name, 'p', string.format('%.0f', it.parts), 'a', string.format('%.0f', it.at))
end

-- Returns in how many milliseconds there will be so many parts.
local function wait_for(it, parts)
  return math.max(0, math.ceil((parts - it.parts) / it.starts))
end

-- Says whether any job of the queue is limited. No script that asks limits one before it has asked for the last time.
local limited
local function some_limited()
  if limited == nil then
    limited = redis.call('EXISTS', Q .. 'limited:0', Q .. 'limited:1', Q .. 'limited:2', Q .. 'limited:3') > 0
  end
  return limited
end

-- Lets a claim meet the first limited jobs of a group again, one of each priority: it moves the next ones on as long as the group
-- is open. Called whenever the group may have become open, or the job that the claim was to meet is gone.
local function unpark(group)
  if not some_limited() then return end
  local ends = ':' .. group
  if redis.call('EXISTS', Q .. 'limited:0' .. ends, Q .. 'limited:1' .. ends, Q .. 'limited:2' .. ends, Q .. 'limited:3' .. ends) == 0 then
    return
  end
  for rank = 0, 3 do
    local first = redis.call('ZPOPMIN', Q .. 'limited:' .. rank .. ends)
    if first[1] then
      redis.call('ZREM', Q .. 'limited:' .. rank, first[1])
      redis.call('ZADD', Q .. 'back:' .. rank, first[2], first[1])
    end
  end
  wake()
end

-- Forgets those groups that no job needs any more, unless an operator has fixed their limits. A bucket that is not full is remembered
-- until it would be.
local function forget_idle(names)
  local counts = {}
  for n, word in ipairs({ 'waits', 'runs', 'deads' }) do counts[n] = redis.call('HMGET', Q .. word, unpack(names)) end
  local bounds = redis.call('HMGET', Q .. 'bounds', unpack(names))
  local idle, buckets = {}, {}
  for n, name in ipairs(names) do
    local jobs = (counts[1][n] or 0) + (counts[2][n] or 0) + (counts[3][n] or 0)
    local it = jobs <= 0 and group_with(name, bounds[n])
    if it and it.pinned == '' then
      idle[#idle + 1] = name
      local key, rest = Q .. 'bucket:' .. name, it.starts and wait_for(it, it.burst * it.per) or 0
      if rest > 0 then
        redis.call('HSET', key, 'l', it.pushed)
        redis.call('PEXPIRE', key, string.format('%.0f', rest))
      else
        buckets[#buckets + 1] = key
      end
    end
  end
  if #idle == 0 then return end
  redis.call('ZREM', Q .. 'grouped', unpack(idle))
  for _, word in ipairs({ 'waits', 'runs', 'deads', 'bounds' }) do redis.call('HDEL', Q .. word, unpack(idle)) end
  if #buckets > 0 then redis.call('DEL', unpack(buckets)) end
  if redis.call('EXISTS', Q .. 'grouped') == 0 then redis.call('DEL', Q .. 'waits', Q .. 'runs', Q .. 'bounds') end
end

-- Counts a job that goes from one of "waits", "runs", "deads" to another; nothing is outside. Every change of a job with a group calls
-- this.
local function regroup(side, from, to)
  local group = group_of(side)
  if not group then return end
  if from then redis.call('HINCRBY', Q .. from, group, -1) end
  if to then redis.call('HINCRBY', Q .. to, group, 1) end
  if from == 'runs' or from == 'waits' then unpark(group) end
  if not to then forget_idle({ group }) end
end

-- Changes the limits that the jobs say, or an operator if "pinned"; without text there are none. Whole tokens are kept, a new bucket is
-- full.
local function set_limits(group, text, pinned)
  local before = read_group(group)
  local bounds = pinned and before.pushed .. '\n' .. text or text .. '\n' .. before.pinned
  if bounds == '\n' then redis.call('HDEL', Q .. 'bounds', group) else redis.call('HSET', Q .. 'bounds', group, bounds) end
  local after = group_with(group, bounds)
  if after.starts and (before.starts ~= after.starts or before.per ~= after.per or before.burst ~= after.burst) then
    local tokens = before.starts and math.floor(before.parts / before.per) or after.burst
    after.parts = math.min(tokens, after.burst) * after.per
    write_bucket(after)
  end
  unpark(group)
end

-- Takes up what is left of the last time that groups had jobs: a bucket that is not full, and its rate.
local function recall(names)
  local keys = {}
  for n, name in ipairs(names) do keys[n] = Q .. 'bucket:' .. name end
  if #keys == 0 or redis.call('EXISTS', unpack(keys)) == 0 then return end
  for n, key in ipairs(keys) do
    local pushed = redis.call('HGET', key, 'l')
    local it = group_with(names[n], (pushed or '') .. '\n')
    if it.starts and it.parts < it.burst * it.per then
      redis.call('PERSIST', key)
      redis.call('HDEL', key, 'l')
      redis.call('HSET', Q .. 'bounds', names[n], pushed .. '\n')
    else
      redis.call('DEL', key)
    end
  end
end

-- Longer than 64 bytes, beyond which the server keeps a hash as a hash table: the packed list of a short one is searched from end to end
-- for each group.
local LONG = string.rep('-', 65)

-- Notes groups among those that have jobs or fixed limits.
local function name_groups(names)
  local known, new, entries = redis.call('ZMSCORE', Q .. 'grouped', unpack(names)), {}, {}
  for n, name in ipairs(names) do
    if not known[n] then
      new[#new + 1] = name
      entries[2 * #new - 1], entries[2 * #new] = 0, name
    end
  end
  if #new == 0 then return end
  if redis.call('ZADD', Q .. 'grouped', unpack(entries)) == redis.call('ZCARD', Q .. 'grouped') then
    for _, word in ipairs({ 'waits', 'runs', 'bounds' }) do redis.call('HSET', Q .. word, '', LONG) end
  end
  recall(new)
end

-- Counts new jobs of groups, and notes the limits that they bring, one after another.
local function enroll(groups)
  local names, counts = {}, {}
  for name in pairs(groups) do names[#names + 1] = name end
  if #names == 0 then return end
  local waits, unknown = redis.call('HMGET', Q .. 'waits', unpack(names)), {}
  for n, name in ipairs(names) do
    if not waits[n] then unknown[#unknown + 1] = name end
  end
  if #unknown > 0 then name_groups(unknown) end
  local bounds = redis.call('HMGET', Q .. 'bounds', unpack(names))
  for n, name in ipairs(names) do
    counts[2 * n - 1], counts[2 * n] = name, digits((waits[n] or 0) + groups[name].jobs)
  end
  redis.call('HSET', Q .. 'waits', unpack(counts))
  for n, name in ipairs(names) do
    local said = limits_in(bounds[n] or '\n').pushed
    for _, text in ipairs(groups[name].texts) do
      if text ~= '' and text ~= said then
        set_limits(name, text)
        said = text
      end
    end
  end
end

-- Counts jobs of groups that have run and are gone.
local function dismiss(groups)
  local names, counts, left = {}, {}, {}
  for name in pairs(groups) do names[#names + 1] = name end
  if #names == 0 then return end
  local runs = redis.call('HMGET', Q .. 'runs', unpack(names))
  for n, name in ipairs(names) do
    local running = (runs[n] or 0) - groups[name]
    counts[2 * n - 1], counts[2 * n] = name, digits(running)
    if running <= 0 then left[#left + 1] = name end
  end
  redis.call('HSET', Q .. 'runs', unpack(counts))
  for _, name in ipairs(names) do unpark(name) end
  if #left == 0 then return end
  -- Most often others wait.
  local waits, idle = redis.call('HMGET', Q .. 'waits', unpack(left)), {}
  for n, name in ipairs(left) do
    if tonumber(waits[n] or 0) <= 0 then idle[#idle + 1] = name end
  end
  if #idle > 0 then forget_idle(idle) end
end

-- Takes a waiting job out of wherever it waits.
local function take_out(id)
  if redis.call('ZREM', Q .. 'due', id) == 1 then return end
  redis.call('HDEL', Q .. 'since', id)
  local side = options_of(id)
  local rank, group = rank_of(side), group_of(side)
  if redis.call('ZREM', Q .. 'back:' .. rank, id) == 1 then return end
  if group and redis.call('ZREM', Q .. 'limited:' .. rank, id) == 1 then
    redis.call('ZREM', Q .. 'limited:' .. rank .. ':' .. group, id)
    return
  end
  -- Walks the list: rare, and 20 ms at a million waiting jobs.
  redis.call('LREM', Q .. 'ready:' .. rank, 1, id)
end

-- Says whether an id sorts before another one as the server sorts members: byte by byte. Lua's own comparison follows the locale.
local function comes_before(one, other)
  for at = 1, #one do
    local a, b = string.byte(one, at), string.byte(other, at)
    if a ~= b then return b ~= nil and a < b end
  end
  return false
end

-- Puts a job that was running back where it stood: "place" knows, or its lease, of which the jobs stand in the order of their ids.
local function stand_again(id, side, lease, place)
  if not place then place = string.format('%.0f', tonumber(string.match(lease, ':(%d+):')) * 4096) end
  ready_now(id)
  redis.call('ZADD', Q .. 'back:' .. rank_of(side), place, id)
  wake()
end
