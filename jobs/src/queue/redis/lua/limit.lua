-- Limits how many jobs of the queue run at once.
--
-- ARGV[3]  how many, or "" for as many as workers take
-- Returns  nothing
if ARGV[3] == '' then
  redis.call('DEL', Q .. 'limit')
else
  redis.call('SET', Q .. 'limit', ARGV[3])
end
wake()
return redis.status_reply('OK')
