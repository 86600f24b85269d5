-- Keeps what running jobs tell.
--
-- ARGV     from 3 on, five for each job: id, lease, progress as "told" keeps it or "" if there is none, how many lines the attempt
--          had noted before, the lines
-- Returns  one for each job: 1 kept, 0 stale
local answers = {}
for at = 3, #ARGV, 5 do
  local id, lease, progress, count = ARGV[at], ARGV[at + 1], ARGV[at + 2], tonumber(ARGV[at + 3])
  local kept = lease_of(redis.call('HGET', Q .. 'running', id) or '') == lease
  answers[#answers + 1] = kept and 1 or 0
  if kept then
    local owner, before, known, log = told_of(id)
    if owner ~= lease then before, known = '', 0 end
    local lines = {}
    for line in string.gmatch(log, '[^\n]*\n') do lines[#lines + 1] = line end
    for line in string.gmatch(ARGV[at + 4], '[^\n]*\n') do
      count = count + 1
      -- A report that comes again, or a later one that repeats what was not answered.
      if count > known then lines[#lines + 1] = line end
    end
    tell(id, lease, progress ~= '' and progress or before, math.max(known, count), table.concat(lines, '', math.max(1, #lines - 49)))
  end
end
return answers
