-- Pages of sorted sets; for scripts that read or walk one.

-- Counts the members up to a score and an id, and with them if they are there: a search by halves among those of the score.
local function count_through(key, score, id)
  local low = redis.call('ZCOUNT', key, '-inf', '(' .. score)
  local high = low + redis.call('ZCOUNT', key, score, score)
  while low < high do
    local middle = math.floor((low + high) / 2)
    local member = redis.call('ZRANGE', key, middle, middle)[1]
    if comes_before(id, member) then high = middle else low = middle + 1 end
  end
  return low
end

-- Reads up to `size` members behind a score and an id ("" for the beginning), from the places low to high - 1 only.
-- Returns ids and scores in turn, and whether there are more.
local function page_of(key, low, high, score, id, latest_first, size)
  if score ~= '' then
    local through = count_through(key, score, id)
    if latest_first then
      if through > 0 and redis.call('ZRANGE', key, through - 1, through - 1)[1] == id then through = through - 1 end
      high = math.min(high, through)
    else
      low = math.max(low, through)
    end
  end
  local count = math.min(size, high - low)
  if count < 1 then return {}, false end
  local more = count < high - low
  if not latest_first then return redis.call('ZRANGE', key, low, low + count - 1, 'WITHSCORES'), more end
  local behind = redis.call('ZCARD', key) - high
  return redis.call('ZRANGE', key, behind, behind + count - 1, 'REV', 'WITHSCORES'), more
end
