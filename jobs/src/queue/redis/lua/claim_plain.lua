-- Promotes what is due, then takes ready jobs for a worker: itself if all are plain, which is the common case. Before everything that the
-- others need, which costs a claim of one job more time than its commands.
--
-- ARGV[3]  the worker
-- ARGV[4]  how many at most, no more than 500
-- Returns  {-1} if the worker's lease has run out, else
--          {0, or 1 if it stopped before it had looked at all, milliseconds to the next due job or token or -1, now, lease,
--          for each job that became ready how many milliseconds ago it was due}, and if there are jobs also their ids, one after
--          another in a text if all are of one length, what "jobs" has of them, and their histories or nothing if none has one
local worker, room = ARGV[3], tonumber(ARGV[4])
local expiry = redis.call('ZSCORE', Q .. 'workers', worker)
if not expiry or tonumber(expiry) < now then return { -1 } end
local switches = redis.call('MGET', Q .. 'paused', Q .. 'limit')
if switches[1] then return { 0, -1, now, '' } end
local full = false
if switches[2] then
  local left = switches[2] - redis.call('HLEN', Q .. 'running')
  full = left <= room
  room = math.min(room, left)
  if room <= 0 then return { 0, -1, now, '' } end
end

-- What most queues have nothing of, in one look.
local quiet = redis.call('EXISTS', Q .. 'mixed', Q .. 'due', Q .. 'back:2', Q .. 'since', Q .. 'history') == 0
local aside = not quiet and is_mixed()
local found = quiet and {} or redis.call('ZRANGEBYSCORE', Q .. 'due', '-inf', now, 'WITHSCORES', 'LIMIT', 0, 500)
local due, late = {}, {}
for at = 1, #found, 2 do
  due[#due + 1] = found[at]
  late[#late + 1] = now - found[at + 1]
end
if #due > 0 then
  redis.call('ZREM', Q .. 'due', unpack(due))
  redis.call('HSET', Q .. 'since', unpack(found))
  local kept = aside and redis.call('HMGET', Q .. 'jobs', unpack(due)) or {}
  local lists = {}
  for n, id in ipairs(due) do
    -- The first of its options.
    local rank = kept[n] and string.byte(kept[n]) == 1 and string.match(kept[n], '^[0-3]', 6) or '2'
    local list = lists[rank] or {}
    lists[rank] = list
    list[#list + 1] = id
  end
  for rank, list in pairs(lists) do redis.call('RPUSH', Q .. 'ready:' .. rank, unpack(list)) end
end

-- The place of a job within its priority is a number drawn when it leaves its list: the claim and the position in it. What waits
-- with a place (in "back" and "limited") has left the list before what is still there, so it stands before that. A job that comes
-- straight from its list and is handed back is given the place of its claim; those of one claim then stand in the order of their ids.
local epoch, drawn = nil, 0
local function base()
  epoch = epoch or redis.call('HINCRBY', Q .. 'stats', 'epoch', 1)
  return epoch * 4096
end

-- What a claim takes: the ids in their order, what "jobs" has of them if it was read, id and place of those that have had one, and
-- whether there may be more than was looked at.
local ids, values, placed, more = {}, nil, {}, false

-- Lets jobs go that hold their keys until they start, and makes what "running" has of those of which that is more than the lease; of use
-- only if not all jobs are plain.
local entries_with

-- Hands out what was taken.
local function hand_out()
  local reply = { more and 1 or 0, -1, now, '', late }
  if #ids > 0 then
    -- The first is longer than 64 bytes, beyond which the server keeps a hash as a hash table: the packed list of a short one is
    -- searched from end to end for each job.
    local form = redis.call('EXISTS', Q .. 'running') == 1 and '%s:%.0f:%.0f' or '%s:%036.0f:%.0f'
    local lease = string.format(form, worker, base() / 4096, now)
    reply[4] = lease
    if not quiet and redis.call('EXISTS', Q .. 'since') == 1 then redis.call('HDEL', Q .. 'since', unpack(ids)) end
    values = values or redis.call('HMGET', Q .. 'jobs', unpack(ids))
    local entries = aside and entries_with(lease) or {}
    local owned, size, alike = {}, #ids[1], true
    for n = 1, #ids do
      alike = alike and #ids[n] == size
      owned[2 * n - 1] = ids[n]
      owned[2 * n] = entries[n] or lease
    end
    redis.call('HSET', Q .. 'running', unpack(owned))
    if #placed > 0 then redis.call('HSET', Q .. 'place', unpack(placed)) end
    reply[6] = alike and table.concat(ids) or ids
    reply[7] = values
    reply[8] = not quiet and redis.call('EXISTS', Q .. 'history') == 1 and redis.call('HMGET', Q .. 'history', unpack(ids)) or {}
  end

  if more or (#ids >= room and not full) then
    -- There may be more than this worker asked for: the next one must not sleep.
    wake()
  end
  if not quiet and not more and #ids < tonumber(ARGV[4]) then
    local first = redis.call('ZRANGE', Q .. 'due', 0, 0, 'WITHSCORES')
    local token = aside and redis.call('ZRANGE', Q .. 'tokens', 0, 0, 'WITHSCORES') or {}
    local at = math.min(first[2] or math.huge, token[2] or math.huge)
    if at < math.huge then reply[2] = math.max(0, at - now) end
  end
  return reply
end

more = #due == 500
if quiet or not aside and redis.call('EXISTS', Q .. 'back:2') == 0 then
  -- None of them was handed back. Should some be, those of one claim will stand in the order of their ids, which is worth no number
  -- for each.
  ids = redis.call('LPOP', Q .. 'ready:2', room) or {}
  for n = #ids, 1, -1 do
    -- What is no id was written by nobody here.
    if not is_id(ids[n]) then
      table.remove(ids, n)
      more = true
    end
  end
  return hand_out()
end
