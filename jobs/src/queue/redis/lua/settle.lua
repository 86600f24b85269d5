-- Ends attempts. Each answer stands alone: a stale one changes nothing and harms no other.
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
if plain then mixed = false end
local asked = not plain and redis.call('EXISTS', Q .. 'cancel') == 1 and redis.call('SMISMEMBER', Q .. 'cancel', unpack(ids)) or {}

local ours, done, theirs, other, stale, stopped = ids, ids, owners, {}, {}, {}
-- Sorts the ends. That a job is named twice is looked for only if it must be: then only its first end counts.
local function sort(twice)
  ours, done, theirs, other, stale, stopped = {}, {}, {}, {}, {}, {}
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
        done[#done + 1], theirs[#theirs + 1] = id, owners[n]
      end
    end
  end
end
-- Most often there is nothing to sort.
local mixed = next(verdicts) or asked[1]
for n = 1, count do mixed = mixed or leases[n] ~= owners[n] end
if mixed then sort(false) end
if #ours == 0 then return stale end
local most = not plain and redis.call('GET', Q .. 'limit')
if most and redis.call('HLEN', Q .. 'running') >= tonumber(most) then wake() end
local placed = not plain and redis.call('EXISTS', Q .. 'place') == 1
local places = placed and #other > 0 and redis.call('HMGET', Q .. 'place', unpack(ids))
if placed then redis.call('HDEL', Q .. 'place', unpack(ours)) end
if redis.call('HDEL', Q .. 'running', unpack(ours)) < #ours then sort(true) end
if #stopped > 0 then redis.call('SREM', Q .. 'cancel', unpack(stopped)) end

if #done > 0 then
  redis.call('HINCRBY', Q .. 'stats', 'succeeded', #done)
  bury_done(done, theirs, plain)
end

for _, n in ipairs(other) do
  local id, verdict = ids[n], verdicts[n]
  local what, rest = string.sub(verdict, 1, 1), string.sub(verdict, 2)
  local history = history_of(id)
  if what == 'O' then
    redis.call('HINCRBY', Q .. 'stats', 'succeeded', 1)
    bury(id, 'runs', 'succeeded', leases[n], nil, rest)
  elseif what == 'C' then
    bury(id, 'runs', 'cancelled', leases[n], rest)
  elseif what == 'D' then
    local counts, reason, fingerprint, text = string.match(rest, '^(%d):([^:]*):(%x*):(.*)$')
    history.f, history.e = history.f + counts, text
    if counts == '1' then redis.call('HINCRBY', Q .. 'stats', 'failed', 1) end
    die(id, leases[n], history, reason, fingerprint)
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
      bury(id, 'runs', 'cancelled', leases[n])
    else
      local side = not plain and options_of(id)
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
