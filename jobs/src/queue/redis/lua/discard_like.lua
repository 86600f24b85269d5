-- Ends dead jobs that are named by what they are as cancelled, the oldest first; at most 500.
--
-- ARGV[3]  why
-- ARGV     from 4 on who is meant: seven arguments, see named_at
-- Returns  {ids, the instant before which they died, time of death and id of the last one if there may be more, else ""}
local named = named_at(4)
named.before = end_of_walk(named.before)
local ids, score, last = find_dead(named, false, STEP)
for _, id in ipairs(ids) do
  leave_dead(id)
  bury(id, options_of(id), 'deads', 'cancelled', nil, ARGV[3])
end
return { ids, named.before, score, last }
