-- Ends dead jobs as cancelled.
--
-- ARGV[3]  why
-- ARGV     from 4 on: ids
-- Returns  the ids that were dead
local moved = {}
for at = 4, #ARGV do
  local id = ARGV[at]
  if leave_dead(id) then
    moved[#moved + 1] = id
    bury(id, options_of(id), 'deads', 'cancelled', nil, ARGV[3])
  end
end
return moved
