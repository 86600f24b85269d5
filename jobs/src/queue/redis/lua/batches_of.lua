-- Reads batches that have not closed.
--
-- ARGV[3]  the batch, or "" for those in the order of their ids
-- ARGV[4]  behind this one, or "" from the first on, and
-- ARGV[5]  how many at most, no more than 500
-- Returns  for each: batch, when it was opened, the id of its closing job, 1 if it is sealed, 1 if it is cancelled, how many members
--          there are, and of them succeeded, dead and cancelled
local names = { ARGV[3] }
if ARGV[3] == '' then
  local from = ARGV[4] == '' and '-' or '(' .. ARGV[4]
  names = redis.call('ZRANGE', Q .. 'batches', from, '+', 'BYLEX', 'LIMIT', 0, ARGV[5])
end
local rows = {}
for _, name in ipairs(names) do
  local have = redis.call('HMGET', Q .. 'batch:' .. name, 'id', 'total', 'succeeded', 'dead', 'cancelled', 'sealed', 'stopped', 'opened')
  if have[1] then
    local row = { name, tonumber(have[8]), have[1], have[6] and 1 or 0, have[7] and 1 or 0 }
    for n = 2, 5 do row[#row + 1] = tonumber(have[n] or 0) end
    rows[#rows + 1] = row
  end
end
return rows
