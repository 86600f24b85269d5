-- Takes jobs that are not all plain; for arguments and answer see `claim_plain.lua`. All before is a function, which asks one queue.
entries_with = function(lease)
  sides = sides or options_in(values)
  local keyed, head, entries = redis.call('EXISTS', Q .. 'unique') == 1, lease .. '\n', {}
  for n, side in ipairs(sides) do
    if side then
      local until_what = keyed and string.byte(side, 2)
      if until_what == 115 or until_what == 83 then -- "s" or "S": it is held until now.
        release(ids[n], side)
        side = go_keyless(ids[n], side)
      end
      entries[n] = head .. side
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
