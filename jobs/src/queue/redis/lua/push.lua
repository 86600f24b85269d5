-- Accepts jobs that are not all plain and new; for the arguments see `push_plain.lua`.
-- Returns why a batch does not take a job, as `queue/batches.rs` has it.
local function refusal(batch, parent)
  local have = redis.call('HMGET', Q .. 'batch:' .. batch, 'id', 'sealed', 'stopped')
  if not have[1] then return 2 end
  if have[3] then return 4 end
  if not have[2] then return nil end
  local digits = string.gsub(parent, '-', '')
  local id = string.gsub(digits, '%x%x', function(byte) return string.char(tonumber(byte, 16)) end)
  local inside = redis.call('HEXISTS', Q .. 'running', id) == 1 and redis.call('SISMEMBER', Q .. 'left:' .. batch, id) == 1
  return not inside and 3 or nil
end

-- What is to be written at once for many jobs.
local fields, lists, optional, keys, dues, groups = {}, {}, {}, {}, {}, {}

local function flush()
  if #fields > 0 then redis.call('HSET', Q .. 'jobs', unpack(fields)) end
  if #optional > 0 then redis.call('HSET', Q .. 'side', unpack(optional)) end
  if #keys > 0 then redis.call('HSET', Q .. 'unique', unpack(keys)) end
  for rank, list in pairs(lists) do
    redis.call('RPUSH', Q .. 'ready:' .. rank, unpack(list))
    wake()
  end
  if #dues > 0 then schedule_all(dues) end
  for group, new in pairs(groups) do enroll(group, new.jobs, new.texts) end
  fields, lists, optional, keys, dues, groups = {}, {}, {}, {}, {}, {}
end

local function add(list, one, two)
  list[#list + 1] = one
  list[#list + 1] = two
end

local function name_of(id)
  local digits = string.gsub(id, '.', function(byte) return string.format('%02x', string.byte(byte)) end)
  return string.gsub(digits, '^(........)(....)(....)(....)', '%1-%2-%3-%4-')
end

-- Takes apart what a job brings along.
local read = knower(function(text)
  if text == '' then return nil end
  local due, replaces, limits, from, rank, until_what, group, member, key =
    string.match(text, '^(%d*)(r?);([%d,]*):()(.)(.)([^\n]*)\n([^\n]*)\n(.*)$')
  local side, name, for_ms = string.sub(text, from), nil, nil
  if until_what ~= '-' then name, for_ms = key_of(side) end
  return {
    due = tonumber(due), replaces = replaces == 'r', limits = limits, side = side,
    rank = rank, until_what = until_what, group = group, member = member, key = key, name = name, for_ms = for_ms,
  }
end)

-- The unique keys that nobody held before, nor has taken since.
local free = {}
if not plain then
  local names = {}
  for n = 1, count do
    local it = read(ARGV[4 + step * (n - 1) + 2])
    if it and it.name then names[#names + 1] = it.name end
  end
  local holders = #names > 0 and redis.call('HMGET', Q .. 'unique', unpack(names)) or {}
  for n, name in ipairs(names) do free[name] = not holders[n] or nil end
end

-- Takes the key for a job; returns who keeps it, and who had to leave it.
local function win(id, key, replaces)
  if free[key] then
    free[key] = nil
    add(keys, key, id)
    return nil, nil
  end
  -- Who holds it may be of this very push.
  flush()
  local holder = hold(key, id)
  if not holder then return nil, nil end
  if not replaces or redis.call('HEXISTS', Q .. 'running', holder) == 1 then return holder, nil end
  take_out(holder)
  bury(holder, 'w', 'cancelled', nil, 'replaced by job ' .. name_of(id))
  redis.call('HSET', Q .. 'unique', key, id)
  return nil, holder
end

-- Takes up what a job brings along; returns who stands in its way or why it is refused, and whom it replaced.
local function settle_in(id, it)
  local side, batch, holder, old = it.side, '', nil, nil
  if it.member ~= '' then
    local parent
    batch, parent = string.match(it.member, '^([^/]*)/?(.*)$')
    side = it.rank .. it.until_what .. it.group .. '\n' .. batch .. '\n' .. it.key
    holder = refusal(batch, parent)
  end
  if it.name and not holder then
    if it.for_ms then
      local latest = string.format('%.0f', now + it.for_ms)
      side = it.rank .. it.until_what .. it.group .. '\n' .. batch .. '\n' .. latest .. ':' .. it.name
    end
    holder, old = win(id, it.name, it.replaces)
  end
  if holder then return holder, nil end
  if side ~= '2-\n\n' then
    add(optional, id, side)
    if it.group ~= '' then
      local new = groups[it.group] or { jobs = 0, texts = {} }
      groups[it.group], new.jobs = new, new.jobs + 1
      if new.texts[#new.texts] ~= it.limits then new.texts[#new.texts + 1] = it.limits end
    end
  end
  if batch ~= '' then
    redis.call('SADD', Q .. 'left:' .. batch, id)
    redis.call('HINCRBY', Q .. 'batch:' .. batch, 'total', 1)
  end
  return nil, old
end

local answers, seen, created = {}, {}, 0
for n, id in ipairs(ids) do
  local at = 4 + step * (n - 1)
  if there[n] or over[n] or seen[id] then
    answers[n] = 1
  else
    local it, holder, old = not plain and read(ARGV[at + 2]), nil, nil
    if it then holder, old = settle_in(id, it) end
    if holder then
      answers[n] = holder
    else
      answers[n], seen[id], created = old and { old } or 0, true, created + 1
      add(fields, id, ARGV[at + 1])
      if it and it.due and it.due > now then
        add(dues, it.due, id)
      else
        local rank = it and it.rank or '2'
        local list = lists[rank] or {}
        lists[rank] = list
        list[#list + 1] = id
      end
    end
  end
end

flush()
if created > 0 then redis.call('HINCRBY', Q .. 'stats', 'pushed', created) end
return answers
