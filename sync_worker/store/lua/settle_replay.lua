-- For the scripts below: a run with nothing pending is no longer unfinished, and is kept for a while only.
-- What is under way is heard of, or lost, long before that while is over.
local function settle(run, pending, under_way, unfinished, id, kept_seconds)
  if redis.call('ZCARD', pending) == 0 then
    redis.call('ZREM', unfinished, id)
    redis.call('EXPIRE', run, kept_seconds)
    redis.call('EXPIRE', under_way, kept_seconds)
  end
end
