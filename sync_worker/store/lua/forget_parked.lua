-- Forget released events; one that was parked again since is kept.
-- KEYS: events, ready times, released; ARGV: names
for _, name in ipairs(ARGV) do
  if redis.call('SREM', KEYS[3], name) == 1 then
    redis.call('HDEL', KEYS[1], name)
    redis.call('ZREM', KEYS[2], name)
  end
end
