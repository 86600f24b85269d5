-- Accepts jobs.
--
-- ARGV     from 3 on, three for each job: id, payload, and "" for a plain job or due time or nothing, "r" if it replaces who holds
--          its unique key and has not started, ";", limits of its group or nothing, ":", options as "side" keeps them, which may
--          be plain too; the time before the key is how long it holds; after the batch there may be "/" and the member that pushes
--          the job
-- Returns  one for each job: 0 created, 1 duplicate, 2 no such batch, 3 it is sealed, 4 it is cancelled, the id that holds the unique
--          key, or in an array the id that it replaced
local ids = {}
for at = 3, #ARGV, 3 do ids[#ids + 1] = ARGV[at] end
local there = redis.call('HMGET', Q .. 'jobs', unpack(ids))
local over = keep and redis.call('EXISTS', Q .. 'ended') == 1 and redis.call('HMGET', Q .. 'ended', unpack(ids)) or {}

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

local answers, seen, fields, lists, created = {}, {}, {}, {}, 0

local function flush()
  if #fields > 0 then redis.call('HSET', Q .. 'jobs', unpack(fields)) end
  for rank, list in pairs(lists) do
    redis.call('RPUSH', Q .. 'ready:' .. rank, unpack(list))
    wake()
  end
  fields, lists = {}, {}
end

local function name_of(id)
  local digits = string.gsub(id, '.', function(byte) return string.format('%02x', string.byte(byte)) end)
  return string.gsub(digits, '^(........)(....)(....)(....)', '%1-%2-%3-%4-')
end

-- Takes the key for a job; returns who keeps it, and who had to leave it.
local function win(id, key, replaces)
  local holder = hold(key, id)
  if not holder then return nil, nil end
  if not replaces or redis.call('HEXISTS', Q .. 'running', holder) == 1 then return holder, nil end
  -- It may be of this very push.
  flush()
  take_out(holder)
  bury(holder, 'w', 'cancelled', nil, 'replaced by job ' .. name_of(id))
  redis.call('HSET', Q .. 'unique', key, id)
  return nil, holder
end

for n, id in ipairs(ids) do
  local at = 3 * n
  local options = ARGV[at + 2]
  if there[n] or over[n] or seen[id] then
    answers[n] = 1
  else
    local rank, due, holder, old, batch = '2', nil, nil, nil, ''
    if options ~= '' then
      local due_text, replaces, limits, side = string.match(options, '^(%d*)(r?);([%d,]*):(.*)$')
      local place, until_what, group, member, key = parts_of(side)
      rank, due = place, tonumber(due_text)
      if member ~= '' then
        local parent
        batch, parent = string.match(member, '^([^/]*)/?(.*)$')
        side = place .. until_what .. group .. '\n' .. batch .. '\n' .. key
        holder = refusal(batch, parent)
      end
      if until_what ~= '-' and not holder then
        local name, for_ms = key_of(side)
        if for_ms then
          local latest = string.format('%.0f', now + for_ms)
          side = place .. until_what .. group .. '\n' .. batch .. '\n' .. latest .. ':' .. name
        end
        holder, old = win(id, name, replaces == 'r')
      end
      if not holder and side ~= '2-\n\n' then
        redis.call('HSET', Q .. 'side', id, side)
        if group ~= '' then enroll(group, limits) end
      end
    end
    if holder then
      answers[n] = holder
    else
      answers[n], seen[id], created = old and { old } or 0, true, created + 1
      if batch ~= '' then
        redis.call('SADD', Q .. 'left:' .. batch, id)
        redis.call('HINCRBY', Q .. 'batch:' .. batch, 'total', 1)
      end
      fields[#fields + 1] = id
      fields[#fields + 1] = ARGV[at + 1]
      if due and due > now then
        schedule(id, due)
      else
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
