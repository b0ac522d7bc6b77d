-- One letter of a run goes a step on, if it stands where that step begins: done again, nothing is done.
-- KEYS: run, pending, under way, unfinished runs
-- ARGV: run's id, how long a finished one is kept in seconds, letter, step ('sent', 'skipped', 'closed', 'failed'),
--       when in microseconds
local run, pending, under_way, unfinished = unpack(KEYS)
local id, kept_seconds, letter, step, at = unpack(ARGV)
local is_first = step == 'sent' or step == 'skipped'
if redis.call('ZREM', is_first and pending or under_way, letter) == 0 then
  return
end
if step == 'sent' then
  redis.call('ZADD', under_way, at, letter)
else
  redis.call('HINCRBY', run, step, 1)
end
settle(run, pending, under_way, unfinished, id, kept_seconds)
