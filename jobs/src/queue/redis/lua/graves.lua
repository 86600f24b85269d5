-- What is done to the dead; for scripts that look for them or let them go. Behind keyset.lua.

-- How many one call looks at.
local STEP = 500

-- Makes a job that has left the dead ready or, after a delay in milliseconds, scheduled; its counters begin anew.
local function revive(id, history, delay)
  redis.call('HSET', Q .. 'history', id, cjson.encode({ f = 0, r = 0, h = 0, n = (history.n or 0) + 1, b = history.b }))
  redis.call('HDEL', Q .. 'ended', id)
  local side = options_of(id)
  -- The key was free while the job was dead; if another job took it, or its time is over, this one runs without.
  if side and string.sub(side, 2, 2) ~= '-' then
    local key, latest = key_of(side)
    if latest and latest <= now or hold(key, id) then go_keyless(id, side) end
  end
  regroup(side, 'deads', 'waits')
  if delay > 0 then
    schedule(id, now + delay)
  else
    ready_now(id)
    redis.call('RPUSH', Q .. 'ready:' .. rank_of(side), id)
    wake()
  end
end

-- Returns how long the n-th job has to wait, the first being 0, at so many jobs in so many milliseconds.
local function delay_of(n, jobs, per)
  return math.min(math.floor(n * per / jobs), 2 ^ 50)
end

-- Reads who is meant from seven arguments: group as "groups" keeps it, died at or after, died before, the time of death and the id
-- of the last one before, kind, fingerprint; "" for what does not matter.
local function named_at(at)
  return {
    group = ARGV[at], after = ARGV[at + 1], before = ARGV[at + 2], score = ARGV[at + 3], id = ARGV[at + 4],
    kind = ARGV[at + 5], fingerprint = ARGV[at + 6],
  }
end

-- Looks for dead jobs in the order of their deaths; returns up to `size` ids, and score and id of the last one that was looked at
-- if there may be more, else "".
local function find_dead(named, latest_first, size)
  local key = Q .. 'dead' .. (named.group ~= '' and ':' .. named.group or '')
  local low = named.after == '' and 0 or redis.call('ZCOUNT', key, '-inf', '(' .. named.after)
  local high = named.before == '' and redis.call('ZCARD', key) or redis.call('ZCOUNT', key, '-inf', '(' .. named.before)
  local found, more = page_of(key, low, high, named.score, named.id, latest_first, STEP)
  local picky = named.group == '' and (named.kind ~= '' or named.fingerprint ~= '')
  local ids = {}
  for at = 1, #found, 2 do
    local id = found[at]
    local fits = true
    if picky then
      local fingerprint, kind = string.match(history_of(id).g or ':', '^(%x*):(.*)$')
      fits = (named.kind == '' or named.kind == kind) and (named.fingerprint == '' or named.fingerprint == fingerprint)
    end
    if fits then ids[#ids + 1] = id end
    if #ids == size then
      more = more or at + 2 <= #found
      return ids, more and found[at + 1] or '', id
    end
  end
  return ids, more and found[#found] or '', more and found[#found - 1] or ''
end

-- The end of a walk through the dead: who dies from now on is not met by it.
local function end_of_walk(before)
  if before ~= '' and tonumber(before) <= now then return before end
  return string.format('%.0f', now + 1)
end
