-- Which ready jobs a claim takes, if they differ in anything. Between what ends jobs and `claim.lua`, which goes on where
-- `claim_plain.lua` has ended.

local Q, now = Q, now

-- Reads how many jobs each priority has let pass.
local function read_turns()
  local passed = { [0] = 0, 0, 0, 0 }
  local text = redis.call('GET', Q .. 'turns')
  if text then
    local a, b, c, d = string.match(text, '^(%d+),(%d+),(%d+),(%d+)$')
    passed = { [0] = tonumber(a), tonumber(b), tonumber(c), tonumber(d) }
  end
  return passed
end

local function write_turns(passed)
  redis.call('SET', Q .. 'turns', table.concat({ passed[0], passed[1], passed[2], passed[3] }, ','))
end

-- Decides how many jobs of each priority a claim takes while no group limits any: it is known beforehand. Takes how many there are. The
-- order is that of `queue/turns.rs`, in runs of one priority. Returns the runs, and how many each priority lets pass if that changes.
local function plan_turns(have, room)
  local take, runs, left = { [0] = 0, 0, 0, 0 }, {}, room
  local passed, changed = nil, false
  while left > 0 do
    local first, late, run, others = nil, nil, left, false
    for rank = 0, 3 do
      if have[rank] > 0 then
        if not first then
          first = rank
        else
          others, passed = true, passed or read_turns()
          if passed[rank] >= 31 then late = rank else run = math.min(run, 31 - passed[rank]) end
        end
      end
    end
    if not first then break end
    local turn = late or first
    run = late and 1 or math.min(run, have[first])
    if others then
      passed[turn], changed = 0, true
      for rank = turn + 1, 3 do
        if have[rank] > 0 then passed[rank] = passed[rank] + run end
      end
    end
    runs[#runs + 1] = { turn, run }
    have[turn], take[turn], left = have[turn] - run, take[turn] + run, left - run
  end
  return take, runs, changed and passed
end

-- Puts the jobs of each priority in the order of the runs.
local function in_runs(lines, runs)
  if #runs == 1 then return lines[runs[1][1]] end
  local order, count, at = {}, 0, { [0] = 0, 0, 0, 0 }
  for _, run in ipairs(runs) do
    local rank, jobs = run[1], run[2]
    local line, from = lines[rank], at[rank]
    local last = math.min(from + jobs, #line)
    for n = from + 1, last do
      count = count + 1
      order[count] = line[n]
    end
    at[rank] = last
  end
  return order
end

-- Says whether all are ids. What is none was written by nobody here. Handed out, it would fail its claim, come back, and fail the next.
local function are_ids(list)
  for n = 1, #list do
    if not is_id(list[n]) then return false end
  end
  return true
end

-- Takes jobs while no group limits any.
local function take_in_turns(room)
  local have = {}
  for rank = 0, 3 do
    have[rank] = redis.call('ZCARD', Q .. 'back:' .. rank) + redis.call('LLEN', Q .. 'ready:' .. rank)
  end
  local take, runs, passed = plan_turns(have, room)
  if passed then write_turns(passed) end

  local lines = {}
  for rank = 0, 3 do
    local line = {}
    if take[rank] > 0 then
      local back = redis.call('ZPOPMIN', Q .. 'back:' .. rank, take[rank])
      for n = 1, #back, 2 do
        if is_id(back[n]) then
          line[#line + 1] = back[n]
          placed[#placed + 1] = back[n]
          placed[#placed + 1] = back[n + 1]
        end
      end
      local rest = take[rank] - #back / 2
      local list = rest > 0 and redis.call('LPOP', Q .. 'ready:' .. rank, rest) or {}
      if #line == 0 and are_ids(list) then
        line = list
      else
        for _, id in ipairs(list) do
          if is_id(id) then line[#line + 1] = id end
        end
      end
      more = more or #line < take[rank]
    end
    lines[rank] = line
  end
  ids = #runs > 0 and in_runs(lines, runs) or {}
end

-- Takes jobs of groups of which none is full, nor would be with them: they are counted by group and not looked at one by one. Says
-- whether it did; if not, it is as if nothing had been.
local function take_loose(room)
  if redis.call('EXISTS', Q .. 'tokens', Q .. 'back:0', Q .. 'back:1', Q .. 'back:2', Q .. 'back:3') > 0 or some_limited() then
    return false
  end
  local have, lines = {}, {}
  for rank = 0, 3 do have[rank] = redis.call('LLEN', Q .. 'ready:' .. rank) end
  local take, runs, passed = plan_turns(have, room)
  if #runs == 0 then return true end
  for rank = 0, 3 do
    lines[rank] = take[rank] > 0 and redis.call('LRANGE', Q .. 'ready:' .. rank, 0, take[rank] - 1) or {}
    if not are_ids(lines[rank]) then return false end
  end
  local chosen = in_runs(lines, runs)
  local found, alike, counts = redis.call('HMGET', Q .. 'jobs', unpack(chosen)), {}, {}
  for n = 1, #found do
    local side = side_of(found[n])
    if side then alike[side] = (alike[side] or 0) + 1 end
  end
  for side, jobs in pairs(alike) do
    local group = group_of(side)
    if group then counts[group] = (counts[group] or 0) + jobs end
  end
  local names, waits, runs = {}, {}, {}
  for group in pairs(counts) do names[#names + 1] = group end
  local bounds, waiting, running = fields_of_groups(names)
  for n, name in ipairs(names) do
    local jobs, limits = counts[name], bounds[n] and limits_in(bounds[n]) or {}
    local started = (running[n] or 0) + jobs
    if limits.starts or limits.most and started > limits.most then return false end
    waits[2 * n - 1], waits[2 * n] = name, digits((waiting[n] or 0) - jobs)
    runs[2 * n - 1], runs[2 * n] = name, digits(started)
  end
  for rank = 0, 3 do
    if take[rank] > 0 then redis.call('LTRIM', Q .. 'ready:' .. rank, take[rank], -1) end
  end
  if passed then write_turns(passed) end
  if #names > 0 then
    redis.call('HSET', Q .. 'waits', unpack(waits))
    redis.call('HSET', Q .. 'runs', unpack(runs))
  end
  ids, values = chosen, found
  return true
end

-- Takes jobs of which groups may limit some.
local function take_with_limits(room)
  local waited = redis.call('ZRANGEBYSCORE', Q .. 'tokens', '-inf', now, 'LIMIT', 0, 100)
  for _, group in ipairs(waited) do
    redis.call('ZREM', Q .. 'tokens', group)
    unpark(group)
  end
  more = more or #waited == 100

  local groups, parked, tokens = {}, {}, {}
  local count, parkings, busiest, first_drawn = 0, 0, nil, base()
  -- Of each priority: what has been pulled and how much that is, where the next one stands, how many were asked for, and whether there
  -- are no more. A job with a place above "first_drawn" comes straight from its list.
  local lines = {}
  for rank = 0, 3 do lines[rank] = { names = {}, places = {}, values = {}, its = {}, n = 0, at = 1, asked = 0 } end
  local name_in = knower(group_of)
  -- Reads those groups of jobs that no job before was of.
  local function meet(sides)
    local names = {}
    for n = 1, #sides do
      local name = name_in(sides[n])
      if name and not groups[name] then
        groups[name], names[#names + 1] = true, name
      end
    end
    for _, it in ipairs(read_groups(names)) do groups[it.name] = it end
  end

  local function pull(rank)
    local line, want = lines[rank], room - count
    -- Of a priority that others precede only a small share will be taken.
    if busiest and busiest ~= rank then want = math.floor(want / 32) + 1 end
    line.asked = math.min(500, math.max(want, 2 * line.asked))
    local names, places, its, n = {}, {}, {}, 0
    -- What is no id was written by nobody here. Handed out, it would fail this claim, come back, and fail the next.
    local back = redis.call('ZPOPMIN', Q .. 'back:' .. rank, line.asked)
    for at = 1, #back, 2 do
      if is_id(back[at]) then
        n = n + 1
        names[n], places[n] = back[at], tonumber(back[at + 1])
      end
    end
    local list = #back == 0 and redis.call('LPOP', Q .. 'ready:' .. rank, line.asked) or {}
    for _, id in ipairs(list) do
      drawn = drawn + 1
      if is_id(id) then
        n = n + 1
        names[n], places[n] = id, first_drawn + drawn
      end
    end
    if n == 0 and #back + #list > 0 then return end
    if n == 0 then
      line.dry = true
      if busiest == rank then busiest = nil end
      return
    end
    busiest = busiest or rank
    local found = redis.call('HMGET', Q .. 'jobs', unpack(names))
    local sides = options_in(found)
    meet(sides)
    for at = 1, n do its[at] = groups[name_in(sides[at])] or false end
    line.names, line.places, line.values, line.its, line.n, line.at = names, places, found, its, n, 1
  end

  -- Returns nothing if the job may start, else what its group waits for: true for a slot, or the milliseconds to a token.
  local function blocked(it)
    if not it then return nil end
    if it.most and it.running >= it.most then return true end
    if it.starts and it.parts < it.per then return wait_for(it, it.per) end
  end

  local function park(rank, line, reason)
    parkings = parkings + 1
    local name = line.its[line.at].name
    for _, key in ipairs({ Q .. 'limited:' .. rank, Q .. 'limited:' .. rank .. ':' .. name }) do
      local list = parked[key] or {}
      parked[key] = list
      list[#list + 1] = string.format('%.0f', line.places[line.at])
      list[#list + 1] = line.names[line.at]
    end
    if reason ~= true then tokens[name] = now + reason end
    line.at = line.at + 1
  end

  -- Says whether a priority has a job that may start, which is then at the head of its line.
  local function waits(rank, line)
    while parkings < 500 do
      if line.at <= line.n then
        local reason = blocked(line.its[line.at])
        if not reason then return true end
        park(rank, line, reason)
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
    local line, id, place = lines[rank], first[1], tonumber(first[2])
    -- Those of one place stand in the order of their ids.
    local function precedes(at)
      return line.places[at] < place or line.places[at] == place and comes_before(line.names[at], id)
    end
    if line.at > line.n or precedes(line.n) then
      redis.call('ZADD', Q .. 'back:' .. rank, first[2], id)
      line.dry = nil
      return
    end
    local at = line.at
    while precedes(at) do at = at + 1 end
    table.insert(line.names, at, id)
    table.insert(line.places, at, place)
    table.insert(line.values, at, redis.call('HGET', Q .. 'jobs', id))
    table.insert(line.its, at, it)
    line.n = line.n + 1
  end

  local passed, changed, ready = read_turns(), false, {}
  values = {}
  while count < room do
    local first, least = nil, nil
    for rank = 0, 3 do
      local line = lines[rank]
      ready[rank] = (line.at <= line.n or not line.dry) and waits(rank, line)
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
    local at = line.at
    local it, place = line.its[at], line.places[at]
    line.at, count = at + 1, count + 1
    ids[count], values[count] = line.names[at], line.values[at]
    -- Who has passed others would be handed back to before them.
    if place <= first_drawn or parkings > 0 then
      placed[#placed + 1] = line.names[at]
      placed[#placed + 1] = string.format('%.0f', place)
    end
    if it then
      it.touched, it.waiting, it.running = true, it.waiting - 1, it.running + 1
      if it.starts then it.parts = it.parts - it.per end
      if some_limited() and not blocked(it) then follow(turn, it) end
    end
  end

  for rank = 0, 3 do
    local line, rest = lines[rank], {}
    for at = line.n, line.at, -1 do
      if line.places[at] > first_drawn then
        rest[#rest + 1] = line.names[at]
      else
        redis.call('ZADD', Q .. 'back:' .. rank, string.format('%.0f', line.places[at]), line.names[at])
      end
    end
    if #rest > 0 then redis.call('LPUSH', Q .. 'ready:' .. rank, unpack(rest)) end
  end
  for key, list in pairs(parked) do redis.call('ZADD', key, unpack(list)) end
  for group, at in pairs(tokens) do redis.call('ZADD', Q .. 'tokens', string.format('%.0f', at), group) end
  local waits, runs = {}, {}
  for name, it in pairs(groups) do
    if it.touched then
      local at = #waits
      waits[at + 1], waits[at + 2] = name, digits(it.waiting)
      runs[at + 1], runs[at + 2] = name, digits(it.running)
      if it.starts then write_bucket(it) end
    end
  end
  if #waits > 0 then
    redis.call('HSET', Q .. 'waits', unpack(waits))
    redis.call('HSET', Q .. 'runs', unpack(runs))
  end
  if changed then write_turns(passed) end
end
