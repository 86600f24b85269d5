-- Reads jobs, whatever their state.
--
-- ARGV     from 3 on: ids
-- Returns  for each id false if it is unknown, else
--          {state, side, due time or time of the end, lease, history, payload, progress, log}, with "" for what there is not
local rows = {}
for at = 3, #ARGV do
  local id = ARGV[at]
  local value = redis.call('HGET', Q .. 'jobs', id)
  local over = redis.call('HGET', Q .. 'ended', id)
  if not value and not over then
    rows[#rows + 1] = false
  else
    local side, payload = side_of(value) or '', payload_of(value or '')
    local history = redis.call('HGET', Q .. 'history', id) or ''
    local entry = redis.call('HGET', Q .. 'running', id)
    local lease = entry and lease_of(entry)
    local due = redis.call('ZSCORE', Q .. 'due', id)
    local died = redis.call('ZSCORE', Q .. 'dead', id)
    local owner, progress, _, log = told_of(id)
    local state, when = 'ready', ''
    if lease then
      state = 'running'
      if owner ~= lease then progress = '' end
    elseif due then
      state, when = 'scheduled', due
    elseif died then
      state, when = 'dead', died
    elseif over then
      state, history, side = 'ended', over, ''
    end
    if state == 'ready' or state == 'scheduled' then progress = '' end
    rows[#rows + 1] = { state, side, when, lease or '', history, payload, progress, log }
  end
end
return rows
