-- Jobs that become ready later, and what jobs differ in: their options and unique keys. Behind what takes plain jobs in or hands them out,
-- which needs none of it: each function costs a call time, also one that is not called.

-- Near at hand: a function that takes up a local from afar costs more to make.
local Q, now = Q, now

-- Notes that a job becomes ready that was pushed before.
local function ready_now(id)
  redis.call('HSET', Q .. 'since', id, string.format('%.0f', now))
end

-- Takes due times and ids. A worker that waits knows the earliest due time; it must hear of an earlier one.
local function schedule_all(dues)
  local first = redis.call('ZRANGE', Q .. 'due', 0, 0, 'WITHSCORES')
  redis.call('ZADD', Q .. 'due', unpack(dues))
  local earliest = math.huge
  for n = 1, #dues, 2 do earliest = math.min(earliest, dues[n]) end
  if not first[2] or earliest < tonumber(first[2]) then wake() end
end

local function schedule(id, due)
  schedule_all({ due, id })
end

-- Remembers what a text was read as: the options of many jobs are alike.
local function knower(read)
  local known = {}
  return function(side)
    if not side then return nil end
    local it = known[side]
    if it == nil then
      it = read(side) or false
      known[side] = it
    end
    return it or nil
  end
end

-- Returns the length of the options before a payload; nothing if the job is plain, or if nobody here has written it.
local function length_of(value)
  local mark, a, b, c, d = string.byte(value, 1, 5)
  if mark ~= 1 or not d then return nil end
  local length = ((a * 256 + b) * 256 + c) * 256 + d
  if length >= 4 and #value >= 5 + length then return length end
end

-- Takes a value of "jobs" apart: the options, or nothing if the job is plain; the payload.
local function side_of(value)
  local length = value and length_of(value)
  return length and string.sub(value, 6, 5 + length)
end

-- The byte that says until when the unique key holds, and the two behind it, without taking anything apart; nothing if the job is plain.
local function until_of(value)
  if not value then return nil end
  local mark, _, _, _, _, _, until_what, second, third = string.byte(value, 1, 9)
  if mark == 1 then return until_what, second, third end
end

local function payload_of(value)
  local length = length_of(value)
  return length and string.sub(value, 6 + length) or value
end

-- Makes the value of a job; options of which none differs are left out.
local function value_of(side, payload)
  if not side or side == '2-\n\n' then return payload end
  mix()
  return struct.pack('>BI4', 1, #side) .. side .. payload
end

-- Reads the options of a job, of many; false or nothing for those that are plain.
local function options_of(id)
  return is_mixed() and side_of(redis.call('HGET', Q .. 'jobs', id)) or nil
end

local function options_in(values)
  local sides = {}
  for n = 1, #values do sides[n] = side_of(values[n]) or false end
  return sides
end

-- Takes an entry of "running" apart: the lease, and what stands behind it or nothing.
local function lease_of(entry)
  local lease, head = string.match(entry, '^([^\n]*)\n(.*)$')
  return lease or entry, head
end

-- Reads the options of a running job, of which this stands behind its lease.
local function options_behind(id, head)
  if head then return side_of(head) end
  return options_of(id)
end

local function set_options(id, side)
  local value, entry = redis.call('HGET', Q .. 'jobs', id), redis.call('HGET', Q .. 'running', id)
  if value then redis.call('HSET', Q .. 'jobs', id, value_of(side, payload_of(value))) end
  local lease, head = lease_of(entry or '')
  if head then redis.call('HSET', Q .. 'running', id, lease .. '\n' .. value_of(side, '')) end
end

-- Removes jobs with all that is in them.
local function remove(ids)
  redis.call('HDEL', Q .. 'jobs', unpack(ids))
  if is_mixed() and redis.call('EXISTS', Q .. 'jobs') == 0 then
    redis.call('DEL', Q .. 'mixed')
    mixed = false
  end
end

local function rank_of(side)
  return side and string.match(side, '^[0-3]') or '2'
end

-- Takes options apart: priority, until when the unique key holds, group, batch, unique key. What there is not is "".
local function parts_of(side)
  local rank, until_what, group, batch, key = string.match(side, '^(.)(.)([^\n]*)\n([^\n]*)\n(.*)$')
  return rank or '2', until_what or '-', group or '', batch or '', key or ''
end

-- Returns the unique key and until when it holds at most; false for the time if there is no such end.
local function key_of(side)
  local _, ends = string.find(side, '\n[^\n]*\n', 3)
  if not ends then return '', false end
  local key, until_what = string.sub(side, ends + 1), string.sub(side, 2, 2)
  if until_what == 's' or until_what == 'f' then return key, false end
  local latest, name = string.match(key, '^(%d+):(.*)$')
  return name, tonumber(latest)
end

-- Frees the unique key if the job still holds it.
local function release(id, side)
  if not side or string.sub(side, 2, 2) == '-' then return end
  local key = key_of(side)
  if redis.call('HGET', Q .. 'unique', key) == id then redis.call('HDEL', Q .. 'unique', key) end
end

-- Lets a job go on without its unique key; returns what its options are then.
local function go_keyless(id, side)
  local rank, _, group, batch = parts_of(side)
  local rest = rank .. '-' .. group .. '\n' .. batch .. '\n'
  set_options(id, rest)
  return rest
end

-- Takes the unique key for a job; returns who holds it if somebody does. A holder whose time is over loses it, and so does one that
-- has no options: it is gone, or holds no key.
local function hold(key, id)
  if redis.call('HSETNX', Q .. 'unique', key, id) == 1 then return nil end
  local holder = redis.call('HGET', Q .. 'unique', key)
  local side = options_of(holder)
  if side then
    local _, latest = key_of(side)
    if not latest or latest > now then return holder end
    go_keyless(holder, side)
  end
  redis.call('HSET', Q .. 'unique', key, id)
  return nil
end
