-- Forget what waits for its turn in a run, and remember who said so first.
-- KEYS: run, pending, under way, unfinished runs
-- ARGV: run's id, how long a finished one is kept in seconds, when (ISO 8601), by whom
local run, pending, under_way, unfinished = unpack(KEYS)
local id, kept_seconds, at, by = unpack(ARGV)
local has_work = redis.call('EXISTS', pending, under_way) > 0
if not has_work or redis.call('HEXISTS', run, 'cancelled_at') == 1 then
  return
end
redis.call('UNLINK', pending) -- a hundred thousand are freed beside the work
redis.call('HSET', run, 'cancelled_at', at, 'cancelled_by', by)
settle(run, pending, under_way, unfinished, id, kept_seconds)
