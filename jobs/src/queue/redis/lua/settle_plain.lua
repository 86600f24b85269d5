-- Ends attempts. Each answer stands alone: a stale one changes nothing and harms no other. Plain jobs that have succeeded, which are nearly
-- all, take a command for each thing to remove. Before everything that the others need.
--
-- ARGV     from 3 on: how many leases follow; for each of them the lease, how many jobs of it have succeeded, and their ids; then three
--          for each other job: id, lease, verdict. A verdict is
--          "O" result      succeeded with a result
--          "R" delay ":" error   retry
--          "S" delay       snooze              "A" delay             set aside
--          "H"             hand back           "C" reason            cancelled
--          "D" counts ":" reason ":" fingerprint ":" error     dead; counts is 1 if it is one more failure
-- Returns  which jobs are stale, in the order in which they were named, the first being 1
local ids, owners, verdicts, count, at = {}, {}, {}, 0, 4
for _ = 1, tonumber(ARGV[3]) do
  local last = at + 1 + tonumber(ARGV[at + 1])
  for n = at + 2, last do
    count = count + 1
    ids[count], owners[count] = ARGV[n], ARGV[at]
  end
  at = last + 1
end
for n = at, #ARGV, 3 do
  count = count + 1
  ids[count], owners[count], verdicts[count] = ARGV[n], ARGV[n + 1], ARGV[n + 2]
end
local leases = redis.call('HMGET', Q .. 'running', unpack(ids))
-- What most queues have nothing of, in one look.
local plain = redis.call('EXISTS', Q .. 'cancel', Q .. 'history', Q .. 'mixed', Q .. 'told', Q .. 'place', Q .. 'limit') == 0
-- What stands behind the leases.
local heads = {}
if not plain then
  for n = 1, count do
    local entry, owner = leases[n], owners[n]
    if entry and entry ~= owner and string.find(entry, owner .. '\n', 1, true) == 1 then
      leases[n], heads[n] = owner, string.sub(entry, #owner + 2)
    end
  end
end

-- Keeps a record of each of these jobs, which have succeeded; "values" is what "jobs" had of those that are not plain.
local function keep_ends(ids, leases, values)
  local records, at = {}, string.format('%.0f', now)
  local text, lease, rank
  for n, id in ipairs(ids) do
    local its = values[n] and string.byte(values[n]) == 1 and string.sub(values[n], 6, 6) or nil
    -- Most often it is that of the job before.
    if leases[n] ~= lease or its ~= rank or not text then
      lease, rank = leases[n], its
      text = '{"s":"succeeded","l":"' .. lease .. '","t":' .. at .. (rank and ',"p":' .. rank or '') .. '}'
    end
    records[2 * n - 1], records[2 * n] = id, text
  end
  redis.call('HSET', Q .. 'ended', unpack(records))
end

-- Whether there is anything to sort, and whether the jobs have been taken from those that run.
local unlike, parted = next(verdicts) ~= nil, false
for n = 1, count do unlike = unlike or leases[n] ~= owners[n] end
if plain then
  mixed = false
  if not unlike and not retained then
    parted = true
    if redis.call('HDEL', Q .. 'running', unpack(ids)) == count then
      redis.call('HDEL', Q .. 'jobs', unpack(ids))
      if keep then keep_ends(ids, owners, {}) end
      redis.call('HINCRBY', Q .. 'stats', 'succeeded', count)
      return {}
    end
  end
end
