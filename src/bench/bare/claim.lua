-- KEYS[1] list of ids, KEYS[2] hash id -> payload; ARGV[1] how many. Returns ids and payloads, two lists of one length.
local ids = redis.call('LPOP', KEYS[1], ARGV[1])
if not ids then return {{}, {}} end
return {ids, redis.call('HMGET', KEYS[2], unpack(ids))}
