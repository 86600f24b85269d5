-- KEYS[1] list of ids, KEYS[2] hash id -> payload; ARGV id, payload, … Returns how many there are now.
local ids = {}
for i = 1, #ARGV, 2 do ids[#ids + 1] = ARGV[i] end
redis.call('HSET', KEYS[2], unpack(ARGV))
return redis.call('RPUSH', KEYS[1], unpack(ids))
