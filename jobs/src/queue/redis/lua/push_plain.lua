-- Accepts jobs: plain ones that are new, which are nearly all, with one command for each thing to write. Before everything that the
-- others need, which costs a push of one job more time than its commands.
--
-- ARGV[3]  "p" if all are plain, else ""
-- ARGV     from 4 on, two or three for each job: id, payload, and if not all are plain "" for a plain job or due time or nothing, "r"
--          if it replaces who holds its unique key and has not started, ";", limits of its group or nothing, ":", options as "side"
--          keeps them, which may be plain too; the time before the key is how long it holds; after the batch there may be "/" and
--          the member that pushes the job
-- Returns  0 if all are created, else one for each job: 0 created, 1 duplicate, 2 no such batch, 3 it is sealed, 4 it is cancelled, the
--          id that holds the unique key, or in an array the id that it replaced
local plain = ARGV[3] == 'p'
local step = plain and 2 or 3
local ids, count = {}, 0
for at = 4, #ARGV, step do
  count = count + 1
  ids[count] = ARGV[at]
end
local there = redis.call('HMGET', Q .. 'jobs', unpack(ids))
local over = keep and redis.call('EXISTS', Q .. 'ended') == 1 and redis.call('HMGET', Q .. 'ended', unpack(ids)) or {}

-- Takes plain jobs of which none is known, the common case, in one command each; says whether they were that.
local function take_new()
  for n = 1, count do
    if there[n] or over[n] then return false end
  end
  local created = redis.call('HSET', Q .. 'jobs', unpack(ARGV, 4))
  if created < count then
    -- One of them comes twice: as if nothing had been.
    redis.call('HDEL', Q .. 'jobs', unpack(ids))
    return false
  end
  redis.call('RPUSH', Q .. 'ready:2', unpack(ids))
  wake()
  redis.call('HINCRBY', Q .. 'stats', 'pushed', created)
  return true
end
if plain and take_new() then return 0 end
