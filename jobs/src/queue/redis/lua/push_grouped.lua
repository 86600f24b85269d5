-- Accepts new jobs with groups, as `push_lean.lua` does; behind what counts groups, before what ends jobs.
if kinds and grouped and take_lean(kinds, groups_named, enroll) then return 0 end
