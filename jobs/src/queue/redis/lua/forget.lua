-- Removes records of endings that somebody has fetched.
--
-- ARGV     from 3 on, two for each: id, the time of the end as it was fetched
-- Returns  nothing
for at = 3, #ARGV, 2 do
  local text = redis.call('HGET', Q .. 'ended', ARGV[at])
  -- A later end of the same job has another time; it was not fetched.
  if text and cjson.decode(text).t == tonumber(ARGV[at + 1]) then redis.call('HDEL', Q .. 'ended', ARGV[at]) end
end
return redis.status_reply('OK')
