-- Ends all other attempts; for the arguments see `settle_plain.lua`.
local Q, now = Q, now

-- Reads a field of a hash for many jobs; nothing if there is no such hash.
local function fields_of(word, ids)
  return redis.call('EXISTS', Q .. word) == 1 and redis.call('HMGET', Q .. word, unpack(ids)) or {}
end

-- Says whether a job is a member of a batch.
local function is_batched(side)
  return side and not string.find(side, '^..[^\n]*\n\n')
end

-- Frees the unique keys that these jobs hold, and counts them out of their groups. If one of them is a member of a batch it
-- says so, and nothing has been done.
local function part_with(ids, values)
  local names, alike, groups = {}, {}, {}
  local keyed = 0
  local function count_out(side, jobs)
    local group = group_of(side)
    if group then groups[group] = (groups[group] or 0) + jobs end
  end
  for n = 1, #ids do
    local until_what, second, third = until_of(values[n])
    local lonely = second == 10 and third == 10
    if lonely and until_what > 96 then
      -- Nothing but a key that has no end: nine bytes are before it.
      keyed = keyed + 1
      names[keyed] = string.sub(values[n], 10, 5 + (length_of(values[n]) or 0))
    else
      local side = until_what and not (lonely and until_what == 45) and side_of(values[n])
      local seen = side and alike[side]
      if seen then
        alike[side] = seen + 1
      elseif side then
        if is_batched(side) then return true end
        if until_what == 45 then
          alike[side] = 1
        else
          keyed = keyed + 1
          names[keyed] = key_of(side)
          count_out(side, 1)
        end
      end
    end
  end
  if keyed > 0 then
    -- Whoever loses a key in life is written anew without it, so a job that has one in its options holds it.
    redis.call('HDEL', Q .. 'unique', unpack(names))
  end
  for side, jobs in pairs(alike) do count_out(side, jobs) end
  dismiss(groups)
  return false
end

-- Removes jobs that have succeeded and of which there is nothing to remember, or retains them: a few commands for all of them.
local function bury_light(ids, leases, values)
  if not retained then remove(ids) end
  if keep or retained then keep_ends(ids, leases, values) end
  if not retained then return end
  local past, at = {}, string.format('%.0f', now)
  for n, id in ipairs(ids) do
    past[2 * n - 1], past[2 * n] = at, id
  end
  redis.call('ZADD', Q .. 'past', unpack(past))
  tidy(2 * #ids)
end

-- Reads what "jobs" has of these jobs, or of those with a large payload what is before that.
local function values_of(ids, heads)
  if not is_mixed() then return {} end
  if not next(heads) then return redis.call('HMGET', Q .. 'jobs', unpack(ids)) end
  local values, places, others = {}, {}, {}
  for n, id in ipairs(ids) do
    values[n] = heads[n] or false
    if not heads[n] then places[#places + 1], others[#others + 1] = n, id end
  end
  local found = #others > 0 and redis.call('HMGET', Q .. 'jobs', unpack(others)) or {}
  for at, n in ipairs(places) do values[n] = found[at] end
  return values
end

-- Buries jobs that have succeeded.
local function bury_done(ids, leases, heads)
  if plain then return bury_light(ids, leases, {}) end
  local histories, told = fields_of('history', ids), fields_of('told', ids)
  if #histories + #told == 0 and not keep and not retained
    and redis.call('EXISTS', Q .. 'unique', Q .. 'grouped', Q .. 'batches') == 0 then
    -- They differ in nothing but their priorities, which nobody asks for any more.
    return bury_light(ids, leases, {})
  end
  local values = values_of(ids, heads)
  if #histories > 0 or #told > 0 or part_with(ids, values) then
    local all, owners, found, count = ids, leases, values, 0
    ids, leases, values = {}, {}, {}
    for n, id in ipairs(all) do
      local side = side_of(found[n])
      if histories[n] or told[n] or is_batched(side) then
        bury(id, side, 'runs', 'succeeded', owners[n])
      else
        count = count + 1
        ids[count], leases[count], values[count] = id, owners[n], found[n] or false
      end
    end
    if count == 0 then return end
    part_with(ids, values)
  end
  bury_light(ids, leases, values)
end

local asked = not plain and redis.call('EXISTS', Q .. 'cancel') == 1 and redis.call('SMISMEMBER', Q .. 'cancel', unpack(ids)) or {}

local ours, done, theirs, their_heads, other, stale, stopped = ids, ids, owners, heads, {}, {}, {}
-- Sorts the ends. That a job is named twice is looked for only if it must be: then only its first end counts.
local function sort(twice)
  ours, done, theirs, their_heads, other, stale, stopped = {}, {}, {}, {}, {}, {}, {}
  local seen = {}
  for n, id in ipairs(ids) do
    if leases[n] ~= owners[n] or seen[id] then
      stale[#stale + 1] = n
    else
      ours[#ours + 1] = id
      if twice then seen[id] = true end
      if asked[n] == 1 then stopped[#stopped + 1] = id end
      if verdicts[n] then
        other[#other + 1] = n
      else
        local at = #done + 1
        done[at], theirs[at], their_heads[at] = id, owners[n], heads[n]
      end
    end
  end
end
if unlike or asked[1] then sort(false) end
if #ours == 0 then return stale end
local most = not plain and redis.call('GET', Q .. 'limit')
if most and redis.call('HLEN', Q .. 'running') >= tonumber(most) then wake() end
local placed = not plain and redis.call('EXISTS', Q .. 'place') == 1
local places = placed and #other > 0 and redis.call('HMGET', Q .. 'place', unpack(ids))
if placed then redis.call('HDEL', Q .. 'place', unpack(ours)) end
if parted or redis.call('HDEL', Q .. 'running', unpack(ours)) < #ours then sort(true) end
if #stopped > 0 then redis.call('SREM', Q .. 'cancel', unpack(stopped)) end

if #done > 0 then
  redis.call('HINCRBY', Q .. 'stats', 'succeeded', #done)
  bury_done(done, theirs, their_heads)
end

for _, n in ipairs(other) do
  local id, verdict = ids[n], verdicts[n]
  local what, rest = string.sub(verdict, 1, 1), string.sub(verdict, 2)
  local history, side = history_of(id), not plain and options_behind(id, heads[n]) or nil
  if what == 'O' then
    redis.call('HINCRBY', Q .. 'stats', 'succeeded', 1)
    bury(id, side, 'runs', 'succeeded', leases[n], nil, rest)
  elseif what == 'C' then
    bury(id, side, 'runs', 'cancelled', leases[n], rest)
  elseif what == 'D' then
    local counts, reason, fingerprint, text = string.match(rest, '^(%d):([^:]*):(%x*):(.*)$')
    history.f, history.e = history.f + counts, text
    if counts == '1' then redis.call('HINCRBY', Q .. 'stats', 'failed', 1) end
    die(id, side, leases[n], history, reason, fingerprint)
  else
    if what == 'R' then
      local delay, text = string.match(rest, '^(%d+):(.*)$')
      history.f, history.e, history.a, rest = history.f + 1, text, nil, delay
      redis.call('HINCRBY', Q .. 'stats', 'failed', 1)
    elseif what == 'A' then
      history.a = history.a or now
    elseif what == 'H' then
      history.h = history.h + 1
    end
    if what == 'S' and history.a then
      history.a = nil
      redis.call('HSET', Q .. 'history', id, cjson.encode(history))
    end
    if what ~= 'S' then redis.call('HSET', Q .. 'history', id, cjson.encode(history)) end
    if asked[n] == 1 then
      bury(id, side, 'runs', 'cancelled', leases[n])
    else
      if what == 'H' then
        stand_again(id, side, leases[n], places and places[n])
      else
        schedule(id, now + rest)
      end
      regroup(side, 'runs', 'waits')
    end
  end
end
return stale
