-- Takes jobs that are not all plain; for arguments and answer see `claim_plain.lua`.
if aside and redis.call('EXISTS', Q .. 'grouped') == 1 then
  if not take_loose(room) then take_with_limits(room) end
else
  take_in_turns(room)
end
return hand_out()
