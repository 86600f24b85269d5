-- Says what the user may not do. Changes nothing.
--
-- ARGV[1]  a key
-- ARGV     from 2 on: commands, a subcommand behind a bar
-- Returns  those that the user may not do with the key
local lacking = {}
for at = 2, #ARGV do
  local name, subcommand = string.match(ARGV[at], '^([^|]+)|?(.*)$')
  local known, allowed
  if subcommand == '' then
    known, allowed = pcall(redis.acl_check_cmd, name, ARGV[1], ARGV[1], ARGV[1])
  else
    known, allowed = pcall(redis.acl_check_cmd, name, subcommand, '')
  end
  if not known or not allowed then lacking[#lacking + 1] = ARGV[at] end
end
return lacking
