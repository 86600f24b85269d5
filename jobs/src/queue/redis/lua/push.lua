-- Accepts all other jobs; for the arguments see `push_plain.lua`.
local Q, now = Q, now

-- Returns why a batch does not take a job, as `queue/batches.rs` has it.
local function refusal(batch, parent)
  local have = redis.call('HMGET', Q .. 'batch:' .. batch, 'id', 'sealed', 'stopped')
  if not have[1] then return 2 end
  if have[3] then return 4 end
  if not have[2] then return nil end
  local id = string.gsub(parent, '%x%x', function(byte) return string.char(tonumber(byte, 16)) end)
  local inside = redis.call('HEXISTS', Q .. 'running', id) == 1 and redis.call('SISMEMBER', Q .. 'left:' .. batch, id) == 1
  return not inside and 3 or nil
end

-- What is to be written at once for many jobs.
local fields, lists, keys, dues, groups = {}, {}, {}, {}, {}

local function flush()
  if #fields > 0 then redis.call('HSET', Q .. 'jobs', unpack(fields)) end
  if #keys > 0 then redis.call('HSET', Q .. 'unique', unpack(keys)) end
  for rank, list in pairs(lists) do
    redis.call('RPUSH', Q .. 'ready:' .. rank, unpack(list))
    wake()
  end
  if #dues > 0 then schedule_all(dues) end
  enroll(groups)
  fields, lists, keys, dues, groups = {}, {}, {}, {}, {}
end

local function add(list, one, two)
  list[#list + 1] = one
  list[#list + 1] = two
end

-- Takes the shapes apart, and says which shape each job has and which key.
local kind_of_job, key_of_job = {}, {}
if not plain then
  local known = {}
  for n = 1, shapes do
    local text = ARGV[3 + n]
    if text ~= '' then
      local due, replaces, limits, rank, until_what, group, member, for_ms =
        string.match(text, '^(%d*)(r?[%x-]*);([%d,]*):(.)(.)([^\n]*)\n([^\n]*)\n(%d*)')
      known[n] = {
        due = tonumber(due), replaces = replaces ~= '' and string.sub(replaces, 2), limits = limits, rank = rank, until_what = until_what, group = group,
        member = member, for_ms = tonumber(for_ms),
      }
    end
  end
  local which, taken = { string.byte(ARGV[4 + shapes], 1, -1) }, 0
  for n = 1, count do
    local it = known[256 * which[2 * n - 1] + which[2 * n]]
    kind_of_job[n] = it
    if it and it.until_what ~= '-' then
      taken = taken + 1
      key_of_job[n] = ARGV[5 + shapes + taken]
    end
  end
end

-- The unique keys that nobody held before, nor has taken since.
local free = {}
if keyed > 0 then
  local keys = 5 + shapes
  local holders = redis.call('HMGET', Q .. 'unique', unpack(ARGV, keys + 1, keys + keyed))
  for n, holder in ipairs(holders) do free[ARGV[keys + n]] = not holder or nil end
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
  bury(holder, options_of(holder), 'waits', 'cancelled', nil, 'replaced by job ' .. replaces)
  redis.call('HSET', Q .. 'unique', key, id)
  return nil, holder
end

-- Takes up what a job brings along; returns who stands in its way or why it is refused, whom it replaced, and its options.
local function settle_in(id, it, key)
  local batch, holder, old = '', nil, nil
  if it.member ~= '' then
    local parent
    batch, parent = string.match(it.member, '^([^/]*)/?(.*)$')
    holder = refusal(batch, parent)
  end
  if key and not holder then holder, old = win(id, key, it.replaces) end
  if holder then return holder end
  local latest = it.for_ms and string.format('%.0f:', now + it.for_ms) or ''
  local side = it.rank .. it.until_what .. it.group .. '\n' .. batch .. '\n' .. latest .. (key or '')
  if it.group ~= '' then
    local new = groups[it.group] or { jobs = 0, texts = {} }
    groups[it.group], new.jobs = new, new.jobs + 1
    if new.texts[#new.texts] ~= it.limits then new.texts[#new.texts + 1] = it.limits end
  end
  if batch ~= '' then
    redis.call('SADD', Q .. 'left:' .. batch, id)
    redis.call('HINCRBY', Q .. 'batch:' .. batch, 'total', 1)
  end
  return nil, old, side
end

local answers, seen, created = {}, {}, 0
for n, id in ipairs(ids) do
  if there[n] or over[n] or seen[id] then
    answers[n] = 1
  else
    local it, holder, old, side = kind_of_job[n], nil, nil, nil
    if it then holder, old, side = settle_in(id, it, key_of_job[n]) end
    if holder then
      answers[n] = holder
    else
      answers[n], seen[id], created = old and { old } or 0, true, created + 1
      add(fields, id, value_of(side, payload_of(ARGV[first + 2 * n - 1])))
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
