-- Makes dead jobs that are named by what they are ready again, the oldest first; at most 500.
--
-- ARGV     3 to 5 as for redrive, then who is meant: seven arguments, see named_at
-- Returns  {ids, the instant before which they died, time of death and id of the last one if there may be more, else ""}
local passed, jobs, per = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local named = named_at(6)
named.before = end_of_walk(named.before)
local ids, score, last = find_dead(named, false, STEP)
for n, id in ipairs(ids) do
  revive(id, leave_dead(id), delay_of(passed + n - 1, jobs, per))
end
return { ids, named.before, score, last }
