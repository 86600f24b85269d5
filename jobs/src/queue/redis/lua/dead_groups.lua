-- Describes the groups of the dead, the one that grew last first.
--
-- ARGV[3]  how many at most
-- Returns  for each {group, how many, first time of death, last time of death, the one that died last, its history}
local rows = {}
for _, group in ipairs(redis.call('ZRANGE', Q .. 'groups', 0, ARGV[3] - 1, 'REV')) do
  local key = Q .. 'dead:' .. group
  local first = redis.call('ZRANGE', key, 0, 0, 'WITHSCORES')
  local last = redis.call('ZRANGE', key, -1, -1, 'WITHSCORES')
  rows[#rows + 1] =
    { group, redis.call('ZCARD', key), first[2], last[2], last[1], redis.call('HGET', Q .. 'history', last[1]) }
end
return rows
