-- KEYS[1] hash id -> payload; ARGV ids. Returns how many were there.
return redis.call('HDEL', KEYS[1], unpack(ARGV))
