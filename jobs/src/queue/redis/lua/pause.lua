-- Pauses or resumes the queue.
--
-- ARGV[3]  "1" to pause
-- Returns  nothing
if ARGV[3] == '1' then
  redis.call('SET', Q .. 'paused', 1)
else
  redis.call('DEL', Q .. 'paused')
  wake()
end
return redis.status_reply('OK')
