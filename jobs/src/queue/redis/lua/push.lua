-- Accepts jobs.
--
-- ARGV     from 3 on, three for each job: id, payload, and "" for a plain job or due time or nothing, ":", options as "side" keeps
--          them, which may be plain too
-- Returns  one for each job: 0 created, 1 duplicate, or the id that holds the unique key
local ids = {}
for at = 3, #ARGV, 3 do ids[#ids + 1] = ARGV[at] end
local there = redis.call('HMGET', Q .. 'jobs', unpack(ids))
local over = keep and redis.call('EXISTS', Q .. 'ended') == 1 and redis.call('HMGET', Q .. 'ended', unpack(ids)) or {}

local answers, seen, fields, lists, created = {}, {}, {}, {}, 0
for n, id in ipairs(ids) do
  local at = 3 * n
  local options = ARGV[at + 2]
  if there[n] or over[n] or seen[id] then
    answers[n] = 1
  else
    local rank, due, holder = '2', nil, nil
    if options ~= '' then
      local due_text, side = string.match(options, '^(%d*):(.*)$')
      local place, until_what, _, _, key = parts_of(side)
      rank, due = place, tonumber(due_text)
      if until_what ~= '-' and redis.call('HSETNX', Q .. 'unique', key, id) == 0 then
        holder = redis.call('HGET', Q .. 'unique', key)
      elseif side ~= '2-\n\n' then
        redis.call('HSET', Q .. 'side', id, side)
      end
    end
    if holder then
      answers[n] = holder
    else
      answers[n], seen[id], created = 0, true, created + 1
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

if created > 0 then
  redis.call('HSET', Q .. 'jobs', unpack(fields))
  redis.call('HINCRBY', Q .. 'stats', 'pushed', created)
end
for rank, list in pairs(lists) do
  redis.call('RPUSH', Q .. 'ready:' .. rank, unpack(list))
  wake()
end
return answers
