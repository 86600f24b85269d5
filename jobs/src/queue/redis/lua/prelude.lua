-- Shared by all scripts of a queue; each script is this text, groups.lua, ends.lua and its own.
--
-- KEYS[1]  the queue's prefix, such as "deskhand:{q:mail}:". Every key of the queue is the prefix and a word, so that all share
--          one hash tag and a script never leaves its slot.
--          Nothing is ever stored under the prefix alone: therefore a cluster that moves the slot refuses the script on its old
--          master (ASK, which nobody follows), so that no script sees a part of a queue.
-- ARGV[1]  milliseconds to add to the server's clock; 0 outside tests
-- ARGV[2]  what becomes of ended jobs: "0" dropped, "1" the record is kept until it is fetched, "count:age" retained, at most so
--          many and for so many milliseconds
--
-- jobs     hash  id -> payload                    every job that has not ended, the dead, and the retained. Before the payload of a job
--                                                 that is not plain stand a byte 1, the length of its options in four, and its options:
--                                                 priority digit, one of "-sfSF" for the unique key (none, until started, until finished; a
--                                                 capital if the key has before it until when it holds at most, and ":"), group, "\n", batch,
--                                                 "\n", unique key
-- mixed    string, exists if there may be jobs that are not plain
-- ready:N  list  ids                              N is the priority, 0 the most urgent
-- back:N   zset  id -> place                      ready, before all of the list: handed back, or limited before
-- limited:N  zset  id -> place                    ready, but at the last look its group might not start one;
-- limited:N:GROUP  zset  id -> place              the same, of one group
-- due      zset  id -> due time                   scheduled
-- running  hash  id -> lease                      a lease is "worker:epoch:claimed_at"
-- dead     zset  id -> time of death
-- groups   zset  group -> last time of death      what the dead do and died of: fingerprint of the error, ":", kind, which may be ""
-- dead:G   zset  id -> time of death              the dead of the group G
-- ended    hash  id -> record                     only if records are kept, or jobs retained
-- past     zset  id -> time of the end            only the retained: succeeded and cancelled
-- history  hash  id -> counters, last error       only jobs to which something happened
-- since    hash  id -> since when it is ready       only ready jobs that were not when they were pushed
-- unique   hash  unique key -> id
-- batches  zset  batch -> 0                       not closed yet
-- batch:ID hash  when it was "opened"; of its closing job: "id", "payload", "due" time or "", "side"; "sealed" and "stopped", if so; counts "total",
--                "succeeded", "dead", "cancelled"
-- left:ID  set   ids of its members that have not ended
-- told     hash  id -> lease, "\n", progress as "done:total", "done:" or "", "\n", how many lines that attempt has noted, "\n", the
--                last lines of all attempts as "attempt:time:text\n"        only jobs that tell
-- cancel   set   ids of running jobs that were asked to stop
-- workers  zset  worker -> when its lease runs out;   winfo  hash  worker -> description
-- wake     zset  the marker on which idle workers block
-- place    hash  id -> place                      running jobs that stood at a numbered place; see claim_plain.lua
-- grouped  zset  group -> 0                       groups that have jobs or fixed limits
-- waits, runs, deads  hashes  group -> how many of its jobs wait, run and are dead
-- bounds   hash  group -> its limits: what its jobs say, "\n", what an operator says
-- bucket:GROUP  hash, of groups with a rate: parts of tokens "p" as of "a"; the limits "l" while it has no jobs
-- tokens   zset  group -> when its next token comes
-- turns    string, how many jobs each priority has let pass;  limit  string, how many jobs may run at once
-- paused   string, exists while the queue is paused;  stats  hash of totals
local Q = KEYS[1]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000) + ARGV[1]
local keep = ARGV[2] == '1'
local retained = string.find(ARGV[2], ':', 1, true)

local function wake()
  redis.call('ZADD', Q .. 'wake', 0, 'w')
end

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

-- Takes a value of "jobs" apart: the options, or nothing if the job is plain; the payload.
local function side_of(value)
  if not value then return nil end
  local mark, a, b, c, d = string.byte(value, 1, 5)
  if mark == 1 then return string.sub(value, 6, 5 + ((a * 256 + b) * 256 + c) * 256 + d) end
end

local function payload_of(value)
  local side = side_of(value)
  return side and string.sub(value, 6 + #side) or value
end

-- Says whether there may be jobs that are not plain.
local mixed
local function is_mixed()
  if mixed == nil then mixed = redis.call('EXISTS', Q .. 'mixed') == 1 end
  return mixed
end

-- Returns the value of a job; options of which none differs are left out. Whoever writes one with options calls this or `mix`.
local function mix()
  if not is_mixed() then redis.call('SET', Q .. 'mixed', 1) end
  mixed = true
end

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

local function set_options(id, side)
  local value = redis.call('HGET', Q .. 'jobs', id)
  if value then redis.call('HSET', Q .. 'jobs', id, value_of(side, payload_of(value))) end
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
  return side and string.sub(side, 1, 1) or '2'
end

-- Takes options apart: priority, until when the unique key holds, group, batch, unique key. What there is not is "".
local function parts_of(side)
  return string.match(side, '^(.)(.)([^\n]*)\n([^\n]*)\n(.*)$')
end

-- Returns the unique key and until when it holds at most; false for the time if there is no such end.
local function key_of(side)
  local _, ends = string.find(side, '\n[^\n]*\n', 3)
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

-- Lets a job go on without its unique key.
local function go_keyless(id, side)
  local rank, _, group, batch = parts_of(side)
  set_options(id, rank .. '-' .. group .. '\n' .. batch .. '\n')
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
