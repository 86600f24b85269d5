-- Accepts new jobs that have a priority, a group or a unique key that is free, but no due time, no batch, and no key that they take from
-- somebody or hold for a time: a few commands for all of them. Between `push_plain.lua` and what ends jobs, like that before everything
-- that the others need. What is left to `push.lua` is left as it was.

-- Reads the shapes: of each its priority, whether it is plain, whether it has a key, and its group; and the groups by name. Returns nothing if there is more to the jobs, or to the groups, than is known here.
local function read_shapes()
  local kinds, groups, grouped = {}, {}, false
  for n = 1, shapes do
    local text = ARGV[3 + n]
    local it = { rank = '2', jobs = 0 }
    if text ~= '' then
      local colon = string.find(text, ':', 1, true)
      local side = string.sub(text, colon + 1)
      if string.byte(text) ~= 59 or string.sub(side, -2) ~= '\n\n' then return nil end
      it.rank, it.keyed = string.sub(side, 1, 1), string.byte(side, 2) ~= 45
      if #side > 4 then
        local name, limits = string.sub(side, 3, -3), string.sub(text, 2, colon - 1)
        local group = groups[name]
        if not group then
          group = { jobs = 0, texts = { limits } }
          groups[name], grouped = group, true
        elseif group.texts[1] ~= limits then
          -- Which come last decides.
          return nil
        end
        it.group = group
      end
    end
    kinds[n] = it
  end
  return kinds, groups, grouped
end

-- Writes the jobs; says whether it did.
local function take_lean(kinds, groups, enroll)
  local keys = 5 + shapes
  if keyed > 0 then
    for _, holder in ipairs(redis.call('HMGET', Q .. 'unique', unpack(ARGV, keys + 1, keys + keyed))) do
      if holder then return false end
    end
  end
  if not write_new() then return false end
  local which, lists, ranks = { string.byte(ARGV[4 + shapes], 1, -1) }, {}, 0
  for _, it in ipairs(kinds) do
    if not lists[it.rank] then
      ranks = ranks + 1
      lists[it.rank] = { n = 0 }
    end
    it.list = lists[it.rank]
  end
  local held, taken = {}, 0
  for n = 1, count do
    local it, id = kinds[256 * which[2 * n - 1] + which[2 * n]], ids[n]
    if ranks > 1 then
      local list = it.list
      local last = list.n + 1
      list.n, list[last] = last, id
    end
    if it.keyed then
      held[2 * taken + 1], held[2 * taken + 2] = ARGV[keys + taken + 1], id
      taken = taken + 1
    end
    it.jobs = it.jobs + 1
  end
  if keyed > 0 and redis.call('HSET', Q .. 'unique', unpack(held)) < keyed then
    -- One of the keys comes twice.
    redis.call('HDEL', Q .. 'unique', unpack(ARGV, keys + 1, keys + keyed))
    redis.call('HDEL', Q .. 'jobs', unpack(ids))
    return false
  end
  mix()
  for rank, list in pairs(lists) do redis.call('RPUSH', Q .. 'ready:' .. rank, unpack(ranks > 1 and list or ids)) end
  wake()
  for _, it in ipairs(kinds) do
    if it.group then it.group.jobs = it.group.jobs + it.jobs end
  end
  if enroll then enroll(groups) end
  redis.call('HINCRBY', Q .. 'stats', 'pushed', count)
  return true
end

local kinds, groups_named, grouped
if fresh and not plain then kinds, groups_named, grouped = read_shapes() end
if kinds and not grouped and take_lean(kinds, groups_named) then return 0 end
