-- Takes jobs that are not all plain; for arguments and answer see `claim_plain.lua`.
if aside and redis.call('EXISTS', Q .. 'grouped') == 1 then
  take_with_limits(room)
else
  take_in_turns(room, aside)
end
return hand_out()
