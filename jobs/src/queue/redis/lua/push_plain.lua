-- Accepts jobs: plain ones that are new, which are nearly all, with one command for each thing to write. Before everything that the
-- others need, which costs a push of one job more time than its commands.
--
-- ARGV[3]  "p" if all are plain, else how many shapes there are
-- ARGV     from 4 on, if not all are plain: the shapes, which is what jobs differ in besides their unique keys: "" for a plain job,
--          or due time or nothing, "r" and its id as a UUID if it replaces who holds its unique key and has not started, ";", limits of its group or
--          nothing, ":", options as "jobs" keeps them without the unique key, which may be plain too; after the batch there may be
--          "/" and the member that pushes the job, in hexadecimal digits; at the end for how long the key holds and ":", or nothing. Then in one text which
--          shape each job has, counted from 1 in two bytes; how many unique keys there are, and those in the order of their jobs
-- ARGV     the rest, two for each job: id, payload with its options before it as "jobs" keeps them
-- Returns  0 if all are created, else one for each job: 0 created, 1 duplicate, 2 no such batch, 3 it is sealed, 4 it is cancelled, the
--          id that holds the unique key, or in an array the id that it replaced
local plain = ARGV[3] == 'p'
local shapes, keyed, first = 0, 0, 4
if not plain then
  shapes = tonumber(ARGV[3])
  keyed = tonumber(ARGV[5 + shapes])
  first = 6 + shapes + keyed
end
local ids, count = {}, 0
for at = first, #ARGV, 2 do
  count = count + 1
  ids[count] = ARGV[at]
end

-- Puts plain jobs that are written in their line.
local function line_up()
  redis.call('RPUSH', Q .. 'ready:2', unpack(ids))
  wake()
  redis.call('HINCRBY', Q .. 'stats', 'pushed', count)
  return 0
end

local over = keep and redis.call('EXISTS', Q .. 'ended') == 1 and redis.call('HMGET', Q .. 'ended', unpack(ids)) or {}
if plain and count == 1 and not over[1] and redis.call('HSETNX', Q .. 'jobs', ids[1], ARGV[first + 1]) == 1 then return line_up() end
local there = redis.call('HMGET', Q .. 'jobs', unpack(ids))
local fresh = true
for n = 1, count do
  if there[n] or over[n] then
    fresh = false
    break
  end
end

-- Writes jobs of which none is known; says whether none of them comes twice, else it is as if nothing had been.
local function write_new()
  if redis.call('HSET', Q .. 'jobs', unpack(ARGV, first)) == count then return true end
  redis.call('HDEL', Q .. 'jobs', unpack(ids))
  return false
end

if plain and fresh and write_new() then return line_up() end
