-- Reads a page of dead jobs that are named by what they are, the latest dead first. Looks at 500 at most, so it may find fewer than
-- there are.
--
-- ARGV[3]  how many at most
-- ARGV     from 4 on who is meant: seven arguments, see named_at
-- Returns  {ids, time of death and id of the last one if there may be more, else ""}
local ids, score, last = find_dead(named_at(4), true, tonumber(ARGV[3]))
return { ids, score, last }
