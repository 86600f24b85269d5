-- What is left of a job that ends. Between the batches and the scripts that end jobs.

local Q, now = Q, now

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
local function bury(id, side, from, state, lease, why, result)
  local history = history_of(id)
  if why then history.e = why end
  history.o = result
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

-- Reads the kind out of a payload without decoding the rest, which may be what the job died of.
local function kind_of(id)
  local kind = string.match(payload_of(redis.call('HGET', Q .. 'jobs', id) or ''), '^{"k":"([a-z0-9_.]+)"')
  return kind and #kind <= 64 and string.find(kind, '.', 1, true) and kind or ''
end

-- Puts a job that was running among the dead, with its payload.
local function die(id, side, lease, history, reason, fingerprint)
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
