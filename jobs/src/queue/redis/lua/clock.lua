-- What time it is by the server's clock, in milliseconds. A call of its own, so only in scripts that ask.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000) + ARGV[1]
