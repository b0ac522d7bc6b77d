-- Keep a run, and list its letters: those of an index, or of those named the ones that are in it.
-- KEYS: run, pending, under way, unfinished runs, all runs, the index
-- ARGV: run's id, run as JSON, its start in microseconds, how long a finished one is kept in seconds, ids named
-- Returns how many letters there are; for a run that was started before, how many there were.
local run, pending, under_way, unfinished, runs, index = unpack(KEYS)
local id, content, at, kept_seconds = unpack(ARGV, 1, 4)
local started = redis.call('HGET', run, 'total')
if started then
  return tonumber(started)
end

if #ARGV == 4 then
  redis.call('ZRANGESTORE', pending, index, 0, -1)
end
for i = 5, #ARGV do
  local failed_at = redis.call('ZSCORE', index, ARGV[i])
  if failed_at then
    redis.call('ZADD', pending, failed_at, ARGV[i])
  end
end

local total = redis.call('ZCARD', pending)
redis.call('HSET', run, 'run', content, 'total', total)
for _, oldest in ipairs(redis.call('ZRANGE', runs, 0, 9)) do -- a few each time, so that expired ones do not pile up
  if redis.call('EXISTS', 'sync:replay:' .. oldest) == 0 then
    redis.call('ZREM', runs, oldest)
  end
end
redis.call('ZADD', runs, at, id)
redis.call('ZADD', unfinished, at, id)
settle(run, pending, under_way, unfinished, id, kept_seconds)
return total
