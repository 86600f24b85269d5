-- Makes dead jobs ready again with their counters at zero.
--
-- ARGV[3]  how many have gone before, for the pace
-- ARGV[4]  how many jobs may come back
-- ARGV[5]  in how many milliseconds
-- ARGV     from 6 on: ids
-- Returns  the ids that were dead
local passed, jobs, per = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local moved = {}
for at = 6, #ARGV do
  local id = ARGV[at]
  local history = leave_dead(id)
  if history then
    revive(id, history, delay_of(passed + #moved, jobs, per))
    moved[#moved + 1] = id
  end
end
return moved
