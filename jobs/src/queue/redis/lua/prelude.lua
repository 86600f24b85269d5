-- Shared by all scripts of a queue; each script is this text, options.lua, groups.lua, batches.lua, ends.lua and its own.
--
-- KEYS[1]  the queue's prefix, such as "deskhand:{q:mail}:". Every key of the queue is the prefix and a word, so that all share
--          one hash tag and a script never leaves its slot.
--          Nothing is ever stored under the prefix alone: therefore a cluster that moves the slot refuses the script on its old
--          master (ASK, which nobody follows), so that no script sees a part of a queue.
-- ARGV[1]  milliseconds to add to the server's clock; 0 outside tests
-- ARGV[2]  what becomes of ended jobs: "0" dropped, "1" the record is kept until it is fetched, "count:age" retained, at most so
--          many and for so many milliseconds
--
-- An id is 14 or 16 bytes, as `ids.rs` has it.
--
-- jobs     hash  id -> payload                    every job that has not ended, the dead, and the retained. Before the payload of a job
--                                                 that is not plain stand a byte 1, the length of its options in four, and its options:
--                                                 priority digit, one of "-sfSF" for the unique key (none, until started, until finished; a
--                                                 capital if the key has before it until when it holds at most, and ":"), group, "\n", batch,
--                                                 "\n", unique key
-- mixed    string, exists if there may be jobs that are not plain
-- ready:N  list  ids                              N is the priority, 0 the most urgent
-- back:N   zset  id -> place                      ready, before all of the list: handed back, or limited before
-- limited:N  zset  id -> place                    ready, but at the last look its group might not start one;
-- limited:N:GROUP  zset  id -> place              the same, of one group
-- due      zset  id -> due time                   scheduled
-- running  hash  id -> lease                      a lease is "worker:epoch:claimed_at"; behind that of a job with a large payload stand "\n"
--                                                 and what is before the payload, which may be nothing, so that its end does not read it
-- dead     zset  id -> time of death
-- groups   zset  group -> last time of death      what the dead do and died of: fingerprint of the error, ":", kind, which may be ""
-- dead:G   zset  id -> time of death              the dead of the group G
-- ended    hash  id -> record                     only if records are kept, or jobs retained
-- past     zset  id -> time of the end            only the retained: succeeded and cancelled
-- history  hash  id -> counters, last error       only jobs to which something happened
-- since    hash  id -> since when it is ready       only ready jobs that were not when they were pushed
-- unique   hash  unique key -> id
-- batches  zset  batch -> 0                       not closed yet
-- batch:ID hash  when it was "opened"; of its closing job: "id", "payload", "due" time or "", "side"; "sealed" and "stopped", if so; counts "total",
--                "succeeded", "dead", "cancelled"
-- left:ID  set   ids of its members that have not ended
-- told     hash  id -> lease, "\n", progress as "done:total", "done:" or "", "\n", how many lines that attempt has noted, "\n", the
--                last lines of all attempts as "attempt:time:text\n"        only jobs that tell
-- cancel   set   ids of running jobs that were asked to stop
-- workers  zset  worker -> when its lease runs out;   winfo  hash  worker -> description
-- wake     zset  the marker on which idle workers block
-- place    hash  id -> place                      running jobs that stood at a numbered place; see claim_plain.lua
-- grouped  zset  group -> 0                       groups that have jobs or fixed limits
-- waits, runs, deads  hashes  group -> how many of its jobs wait, run and are dead; a field "" is no group, see groups.lua
-- bounds   hash  group -> its limits: what its jobs say, "\n", what an operator says
-- bucket:GROUP  hash, of groups with a rate: parts of tokens "p" as of "a"; the limits "l" while it has no jobs
-- tokens   zset  group -> when its next token comes
-- turns    string, how many jobs each priority has let pass;  limit  string, how many jobs may run at once
-- paused   string, exists while the queue is paused;  stats  hash of totals
local Q = KEYS[1]
local keep = ARGV[2] == '1'
local retained = string.find(ARGV[2], ':', 1, true)

-- Says whether a text is an id. What is none was written by nobody here: handed out, it would fail its claim, come back, and fail the next.
local function is_id(text)
  local size = #text
  if size ~= 16 then return size == 14 end
  local first, second, _, _, _, _, version, _, variant = string.byte(text, 1, 9)
  -- Of these an end would name the 14 bytes.
  return not (first == 1 and math.floor(second / 64) == 2 and math.floor(version / 16) == 7 and math.floor(variant / 64) == 2)
end

local function wake()
  redis.call('ZADD', Q .. 'wake', 0, 'w')
end

-- Says whether there may be jobs that are not plain.
local mixed
local function is_mixed()
  if mixed == nil then mixed = redis.call('EXISTS', Q .. 'mixed') == 1 end
  return mixed
end

-- Notes that there are. Whoever writes one calls this.
local function mix()
  if not is_mixed() then redis.call('SET', Q .. 'mixed', 1) end
  mixed = true
end
