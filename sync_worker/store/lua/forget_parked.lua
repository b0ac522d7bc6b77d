-- Forget a released event; one that was parked again since is kept.
-- KEYS: events, ready times, released; ARGV: name
if redis.call('SREM', KEYS[3], ARGV[1]) == 1 then
  redis.call('HDEL', KEYS[1], ARGV[1])
  redis.call('ZREM', KEYS[2], ARGV[1])
end
