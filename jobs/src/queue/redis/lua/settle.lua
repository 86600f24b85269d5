-- Ends attempts. Each answer stands alone: a stale one changes nothing and harms no other.
--
-- ARGV     from 3 on, three for each job: id, lease, verdict. A verdict is
--          ""              succeeded           "O" result            succeeded with a result
--          "R" delay ":" error   retry
--          "S" delay       snooze              "A" delay             set aside
--          "H"             hand back           "C" reason            cancelled
--          "D" counts ":" reason ":" fingerprint ":" error     dead; counts is 1 if it is one more failure
-- Returns  one for each job: 1 applied, 0 stale
local ids = {}
for at = 3, #ARGV, 3 do ids[#ids + 1] = ARGV[at] end
local leases = redis.call('HMGET', Q .. 'running', unpack(ids))
-- What most queues have nothing of, in one look.
local plain = redis.call('EXISTS', Q .. 'cancel', Q .. 'history', Q .. 'side', Q .. 'told', Q .. 'place', Q .. 'limit') == 0
local asked = not plain and redis.call('EXISTS', Q .. 'cancel') == 1 and redis.call('SMISMEMBER', Q .. 'cancel', unpack(ids)) or {}

local answers, seen, ours, done, other, stopped = {}, {}, {}, {}, {}, {}
for n, id in ipairs(ids) do
  if leases[n] == ARGV[3 * n + 1] and not seen[id] then
    answers[n], seen[id] = 1, true
    ours[#ours + 1] = id
    if asked[n] == 1 then stopped[#stopped + 1] = id end
    if ARGV[3 * n + 2] == '' then done[#done + 1] = n else other[#other + 1] = n end
  else
    answers[n] = 0
  end
end
if #ours == 0 then return answers end
local most = not plain and redis.call('GET', Q .. 'limit')
if most and redis.call('HLEN', Q .. 'running') >= tonumber(most) then wake() end
local places = not plain and redis.call('EXISTS', Q .. 'place') == 1 and redis.call('HMGET', Q .. 'place', unpack(ids))
if places then redis.call('HDEL', Q .. 'place', unpack(ours)) end
redis.call('HDEL', Q .. 'running', unpack(ours))
if #stopped > 0 then redis.call('SREM', Q .. 'cancel', unpack(stopped)) end

if #done > 0 then
  redis.call('HINCRBY', Q .. 'stats', 'succeeded', #done)
  if not plain and redis.call('EXISTS', Q .. 'history', Q .. 'side', Q .. 'told') > 0 then
    for _, n in ipairs(done) do bury(ids[n], 'r', 'succeeded', leases[n]) end
  else
    -- Nothing of the queue has a past or options: the common case, in one command each.
    local gone, records = {}, {}
    local at = string.format('%.0f', now)
    for place, n in ipairs(done) do
      gone[place] = ids[n]
      records[2 * place - 1] = ids[n]
      records[2 * place] = '{"s":"succeeded","l":"' .. leases[n] .. '","t":' .. at .. '}'
    end
    if not retained then redis.call('HDEL', Q .. 'jobs', unpack(gone)) end
    if keep or retained then redis.call('HSET', Q .. 'ended', unpack(records)) end
    if retained then
      local past = {}
      for place, id in ipairs(gone) do
        past[2 * place - 1] = at
        past[2 * place] = id
      end
      redis.call('ZADD', Q .. 'past', unpack(past))
      tidy(2 * #gone)
    end
  end
end

for _, n in ipairs(other) do
  local id, verdict = ids[n], ARGV[3 * n + 2]
  local what, rest = string.sub(verdict, 1, 1), string.sub(verdict, 2)
  local history = history_of(id)
  if what == 'O' then
    redis.call('HINCRBY', Q .. 'stats', 'succeeded', 1)
    bury(id, 'r', 'succeeded', leases[n], nil, rest)
  elseif what == 'C' then
    bury(id, 'r', 'cancelled', leases[n], rest)
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
      bury(id, 'r', 'cancelled', leases[n])
    else
      local side = not plain and redis.call('HGET', Q .. 'side', id)
      if what == 'H' then
        stand_again(id, side, leases[n], places and places[n])
      else
        schedule(id, now + rest)
      end
      regroup(side, 'r', 'w')
    end
  end
end
return answers
