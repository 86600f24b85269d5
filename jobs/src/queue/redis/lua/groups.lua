-- Groups: their limits, who of them waits, and what opens them. Between the prelude and the scripts that move jobs.
--
-- The decisions are those of `queue/gate.rs`. A limit as text is "concurrency,starts,per_ms,burst", each of them or nothing.

local limits_in = knower(function(text)
  local most, starts, per, burst = string.match(text, '^(%d*),(%d*),(%d*),(%d*)$')
  return { most = tonumber(most), starts = tonumber(starts), per = tonumber(per), burst = tonumber(burst) }
end)

-- Writes a number, which the server would do anew for each command; most of those of one script are alike.
local digits = knower(function(number) return string.format('%.0f', number) end)

local function read_limits(text)
  local it = text and limits_in(text) or {}
  return { most = it.most, starts = it.starts, per = it.per, burst = it.burst }
end

local function group_of(side)
  if side and string.sub(side, 3, 3) ~= '\n' then return string.match(side, '^..([^\n]*)') end
end

-- Reads a group: "m" what an operator says, else "l" what its jobs say; counts "w", "r" and "d" of those that wait, run and are
-- dead; "p" parts of tokens as of "a".
local function read_group(group)
  local have = redis.call('HMGET', Q .. 'group:' .. group, 'l', 'm', 'w', 'r', 'd', 'p', 'a')
  local it = read_limits(have[2] or have[1])
  it.name, it.pushed, it.pinned = group, have[1], have[2]
  it.waiting, it.running, it.dead = tonumber(have[3] or 0), tonumber(have[4] or 0), tonumber(have[5] or 0)
  it.parts, it.at = tonumber(have[6] or 0), tonumber(have[7] or 0)
  if it.starts then
    it.parts = math.min(it.burst * it.per, it.parts + math.max(0, now - it.at) * it.starts)
    it.at = now
  end
  return it
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

-- Forgets a group that no job needs any more, unless an operator has fixed its limits. A bucket that is not full is remembered
-- until it would be.
local function forget_idle(group)
  local have = redis.call('HMGET', Q .. 'group:' .. group, 'w', 'r', 'd', 'm')
  if (have[1] or 0) + (have[2] or 0) + (have[3] or 0) > 0 or have[4] then return end
  local it = read_group(group)
  redis.call('ZREM', Q .. 'grouped', group)
  local rest = it.starts and wait_for(it, it.burst * it.per) or 0
  if rest > 0 then
    redis.call('PEXPIRE', Q .. 'group:' .. group, string.format('%.0f', rest))
  else
    redis.call('DEL', Q .. 'group:' .. group)
  end
end

-- Counts a job that goes from one of "w", "r", "d" to another; nothing is outside. Every change of a job with a group calls this.
local function regroup(side, from, to)
  local group = group_of(side)
  if not group then return end
  local key = Q .. 'group:' .. group
  if from then redis.call('HINCRBY', key, from, -1) end
  if to then redis.call('HINCRBY', key, to, 1) end
  if from == 'r' or from == 'w' then unpark(group) end
  if not to then forget_idle(group) end
end

-- Changes the limits in field "l" or "m"; without text there are none. Whole tokens are kept, a new bucket is full.
local function set_limits(group, field, text)
  local before = read_group(group)
  local key = Q .. 'group:' .. group
  if text then redis.call('HSET', key, field, text) else redis.call('HDEL', key, field) end
  local pinned = field == 'm' and text or field ~= 'm' and before.pinned
  local after = read_limits(pinned or (field == 'l' and text or before.pushed))
  if after.starts and (before.starts ~= after.starts or before.per ~= after.per or before.burst ~= after.burst) then
    local tokens = before.starts and math.floor(before.parts / before.per) or after.burst
    local parts = math.min(tokens, after.burst) * after.per
    redis.call('HSET', key, 'p', string.format('%.0f', parts), 'a', string.format('%.0f', now))
  end
  unpark(group)
end

-- Takes up what is left of the last time that a group had jobs: a bucket that is not full, and its rate.
local function recall(group)
  local it = read_group(group)
  if it.starts and it.parts < it.burst * it.per then
    redis.call('PERSIST', Q .. 'group:' .. group)
  else
    redis.call('DEL', Q .. 'group:' .. group)
  end
end

-- Counts new jobs, and notes the limits that they bring, one after another; "known" if the group is among those that have jobs.
local function enroll(group, jobs, texts, known)
  local key = Q .. 'group:' .. group
  if not known and redis.call('ZADD', Q .. 'grouped', 0, group) == 1 then recall(group) end
  redis.call('HINCRBY', key, 'w', digits(jobs))
  for _, text in ipairs(texts) do
    if text ~= '' and redis.call('HGET', key, 'l') ~= text then set_limits(group, 'l', text) end
  end
end

-- Counts jobs of a group that have run and are gone.
local function dismiss(group, jobs)
  local left = redis.call('HINCRBY', Q .. 'group:' .. group, 'r', digits(-jobs))
  unpark(group)
  -- Most often others wait.
  if left == 0 and tonumber(redis.call('HGET', Q .. 'group:' .. group, 'w') or 0) <= 0 then forget_idle(group) end
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
