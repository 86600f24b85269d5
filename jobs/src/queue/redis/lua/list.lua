-- Reads a page of the scheduled, the dead or the retained.
--
-- ARGV[3]  "due", the first due first; "dead" or "past", the latest first
-- ARGV[4]  the score of the last one before the page, or ""
-- ARGV[5]  its id
-- ARGV[6]  how many at most, up to 500
-- Returns  {ids and scores in turn, 1 if there are more}
local key = Q .. ARGV[3]
local size = redis.call('ZCARD', key)
local found, more = page_of(key, 0, size, ARGV[4], ARGV[5], ARGV[3] ~= 'due', tonumber(ARGV[6]))
return { found, more and 1 or 0 }
