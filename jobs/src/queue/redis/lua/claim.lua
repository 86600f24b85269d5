-- Takes jobs that are not all plain; for arguments and answer see `claim_plain.lua`. All before is a function, which asks one queue.
-- To read a payload of so many bytes once more costs as much as to write the options of its job.
local LARGE = 1000

entries_with = function(lease)
  local keyed, entries = redis.call('EXISTS', Q .. 'unique') == 1, {}
  for n, id in ipairs(ids) do
    local value = values[n]
    local until_what, large = keyed and until_of(value), value and #value > LARGE
    -- "s" or "S": the key is held until now.
    local started = until_what == 115 or until_what == 83
    if started or large then
      local side = side_of(value)
      if started and side then
        release(id, side)
        side = go_keyless(id, side)
      end
      if large then entries[n] = lease .. '\n' .. value_of(side, '') end
    end
  end
  return entries
end

if aside and redis.call('EXISTS', Q .. 'grouped') == 1 then
  if not take_loose(room) then take_with_limits(room) end
else
  take_in_turns(room)
end
return hand_out()
end

-- Each queue in turn, until there is no place left.
local replies, room = {}, tonumber(ARGV[4])
for n, key in ipairs(KEYS) do
  local reply = ask({ key }, { ARGV[1], ARGV[2], ARGV[3], room })
  replies[n] = reply
  if reply[1] == -1 then break end
  room = room - (reply[7] and #reply[7] or 0)
  if room <= 0 then break end
end
return replies
