-- What is left of a job that ends. Between the batches and the scripts that end jobs.

local function history_of(id)
  local text = redis.call('HGET', Q .. 'history', id)
  return text and cjson.decode(text) or { f = 0, r = 0, h = 0 }
end

-- Reads what the attempts of a job have told: the lease of the last one that did, its progress, how many lines it has noted, all
-- lines that are kept.
local function told_of(id)
  local text = redis.call('HGET', Q .. 'told', id)
  if not text then return '', '', 0, '' end
  local owner, progress, known, log = string.match(text, '^([^\n]*)\n([^\n]*)\n(%d+)\n(.*)$')
  return owner, progress, tonumber(known), log
end

local function tell(id, owner, progress, known, log)
  redis.call('HSET', Q .. 'told', id, owner .. '\n' .. progress .. '\n' .. string.format('%.0f', known) .. '\n' .. log)
end

-- Puts what the attempts of a job have told into its history. How far an attempt before the last one was is of no interest.
local function recall(id, history, lease)
  local owner, progress, _, log = told_of(id)
  if progress ~= '' and owner == lease then history.w = progress end
  if log ~= '' then history.v = log end
end

local function record(id, state, lease, history, reason)
  history.s, history.l, history.t, history.d = state, lease or nil, now, reason
  redis.call('HSET', Q .. 'ended', id, cjson.encode(history))
end

-- Removes up to so many retained jobs, the oldest first, that are too many or too old.
local function tidy(limit)
  if not retained then return end
  local count, age = string.match(ARGV[2], '^(%d+):(%d+)$')
  local over = redis.call('ZCARD', Q .. 'past') - count
  local oldest = redis.call('ZRANGE', Q .. 'past', 0, limit - 1, 'WITHSCORES')
  local gone = {}
  for at = 1, #oldest, 2 do
    if #gone >= over and tonumber(oldest[at + 1]) >= now - age then break end
    gone[#gone + 1] = oldest[at]
  end
  if #gone == 0 then return end
  redis.call('ZREM', Q .. 'past', unpack(gone))
  redis.call('HDEL', Q .. 'ended', unpack(gone))
  remove(gone)
end

-- Removes a job that has ended and is not dead, or retains it; "from" is where its group counts it.
local function bury(id, from, state, lease, why, result)
  local history = history_of(id)
  if why then history.e = why end
  history.o = result
  local side = options_of(id)
  release(id, side)
  if keep or retained then recall(id, history, lease) end
  if not retained then remove({ id }) end
  redis.call('HDEL', Q .. 'history', id)
  redis.call('HDEL', Q .. 'told', id)
  regroup(side, from, nil)
  leave_batch(id, side, state)
  if keep or retained then
    -- The record is all that is left of what was beside the payload.
    history.p = tonumber(rank_of(side))
    record(id, state, lease, history)
  end
  if retained then
    redis.call('ZADD', Q .. 'past', now, id)
    tidy(2)
  end
end

-- Reads a field of a hash for many jobs; nothing if there is no such hash.
local function fields_of(word, ids)
  return redis.call('EXISTS', Q .. word) == 1 and redis.call('HMGET', Q .. word, unpack(ids)) or {}
end

-- Says whether a job is a member of a batch.
local function is_batched(side)
  return side and not string.find(side, '^..[^\n]*\n\n')
end

-- Frees the unique keys that these jobs still hold, and counts them out of their groups. If one of them is a member of a batch it
-- says so, and nothing has been done.
local function part_with(ids, sides)
  local names, holders, alike, groups = {}, {}, {}, {}
  local keyed, byte = 0, string.byte
  local function count_out(side, jobs)
    local group = group_of(side)
    if group then groups[group] = (groups[group] or 0) + jobs end
  end
  for n, id in ipairs(ids) do
    local side = sides[n]
    if side then
      local seen = alike[side]
      if seen then
        alike[side] = seen + 1
      else
        local until_what, second, third = byte(side, 2, 4)
        local lonely = second == 10 and third == 10
        if not lonely and is_batched(side) then return true end
        if until_what == 45 then
          alike[side] = 1
        else
          keyed = keyed + 1
          holders[keyed] = id
          -- Most keys have no end.
          names[keyed] = lonely and until_what > 96 and string.sub(side, 5) or key_of(side)
          if not lonely then count_out(side, 1) end
        end
      end
    end
  end
  if keyed > 0 then
    local held, free = redis.call('HMGET', Q .. 'unique', unpack(names)), {}
    for n = 1, keyed do
      if held[n] == holders[n] then free[#free + 1] = names[n] end
    end
    if #free > 0 then redis.call('HDEL', Q .. 'unique', unpack(free)) end
  end
  for side, jobs in pairs(alike) do count_out(side, jobs) end
  dismiss(groups)
  return false
end

-- Removes jobs that have succeeded and of which there is nothing to remember, or retains them: a few commands for all of them.
local function bury_light(ids, leases, sides)
  if not retained then remove(ids) end
  if not keep and not retained then return end
  local records, at = {}, string.format('%.0f', now)
  local text, lease, rank
  for n, id in ipairs(ids) do
    local its = sides[n] and rank_of(sides[n])
    -- Most often it is that of the job before.
    if leases[n] ~= lease or its ~= rank or not text then
      lease, rank = leases[n], its
      text = '{"s":"succeeded","l":"' .. lease .. '","t":' .. at .. (rank and ',"p":' .. rank or '') .. '}'
    end
    records[2 * n - 1], records[2 * n] = id, text
  end
  redis.call('HSET', Q .. 'ended', unpack(records))
  if not retained then return end
  local past = {}
  for n, id in ipairs(ids) do
    past[2 * n - 1], past[2 * n] = at, id
  end
  redis.call('ZADD', Q .. 'past', unpack(past))
  tidy(2 * #ids)
end

-- Buries jobs that have succeeded; "plain" if nothing of the queue has a past or options.
local function bury_done(ids, leases, plain)
  if plain then return bury_light(ids, leases, {}) end
  local histories, told = fields_of('history', ids), fields_of('told', ids)
  if #histories + #told == 0 and not keep and not retained
    and redis.call('EXISTS', Q .. 'unique', Q .. 'grouped', Q .. 'batches') == 0 then
    -- They differ in nothing but their priorities, which nobody asks for any more.
    return bury_light(ids, leases, {})
  end
  local sides = is_mixed() and options_in(redis.call('HMGET', Q .. 'jobs', unpack(ids))) or {}
  if #histories > 0 or #told > 0 or part_with(ids, sides) then
    local all, owners, options, count = ids, leases, sides, 0
    ids, leases, sides = {}, {}, {}
    for n, id in ipairs(all) do
      if histories[n] or told[n] or is_batched(options[n]) then
        bury(id, 'runs', 'succeeded', owners[n])
      else
        count = count + 1
        ids[count], leases[count], sides[count] = id, owners[n], options[n] or false
      end
    end
    if count == 0 then return end
    part_with(ids, sides)
  end
  bury_light(ids, leases, sides)
end

-- Reads the kind out of a payload without decoding the rest, which may be what the job died of.
local function kind_of(id)
  local kind = string.match(payload_of(redis.call('HGET', Q .. 'jobs', id) or ''), '^{"k":"([a-z0-9_.]+)"')
  return kind and #kind <= 64 and string.find(kind, '.', 1, true) and kind or ''
end

-- Puts a job that was running among the dead, with its payload.
local function die(id, lease, history, reason, fingerprint)
  local side = options_of(id)
  release(id, side)
  regroup(side, 'runs', 'deads')
  if leave_batch(id, side, 'dead') then go_alone(id, side) end
  history.g = fingerprint .. ':' .. kind_of(id)
  redis.call('ZADD', Q .. 'dead', now, id)
  redis.call('ZADD', Q .. 'dead:' .. history.g, now, id)
  redis.call('ZADD', Q .. 'groups', now, history.g)
  history.d = reason
  redis.call('HSET', Q .. 'history', id, cjson.encode(history))
  local owner, progress, known, log = told_of(id)
  if progress ~= '' and owner ~= lease then tell(id, owner, '', known, log) end
  if keep then
    recall(id, history, lease)
    record(id, 'dead', lease, history, reason)
  end
end

-- Takes a job from among the dead; returns its history, or nil if it is not dead.
local function leave_dead(id)
  if redis.call('ZREM', Q .. 'dead', id) == 0 then return nil end
  local history = history_of(id)
  local group = history.g
  if group then
    redis.call('ZREM', Q .. 'dead:' .. group, id)
    local last = redis.call('ZRANGE', Q .. 'dead:' .. group, -1, -1, 'WITHSCORES')
    if last[2] then
      redis.call('ZADD', Q .. 'groups', last[2], group)
    else
      redis.call('ZREM', Q .. 'groups', group)
    end
  end
  return history
end
