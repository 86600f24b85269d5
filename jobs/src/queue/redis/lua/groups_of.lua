-- Reads groups, by name.
--
-- ARGV[3]  the group, or "" for a page of all
-- ARGV[4]  the last one before the page, or "" for the beginning
-- ARGV[5]  how many at most, no more than 500
-- Returns  for each: name, limits, 1 if they are fixed, how many run, how many wait, when the next token comes or -1
local names = { ARGV[3] }
if ARGV[3] == '' then
  local from = ARGV[4] == '' and '-' or '(' .. ARGV[4]
  names = redis.call('ZRANGE', Q .. 'grouped', from, '+', 'BYLEX', 'LIMIT', 0, ARGV[5])
elseif not redis.call('ZSCORE', Q .. 'grouped', ARGV[3]) then
  names = {}
end
local rows = {}
for n, it in ipairs(read_groups(names)) do
  local token = it.starts and now + wait_for(it, it.per) or -1
  local pinned = it.pinned ~= ''
  rows[n] = { it.name, pinned and it.pinned or it.pushed, pinned and 1 or 0, it.running, it.waiting, token }
end
return rows
