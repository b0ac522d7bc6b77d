-- Forget released events; one that was parked again since is kept.
-- KEYS: events, ready times, released, and for each name the seen times of its entity; ARGV: names
for number, name in ipairs(ARGV) do
  if redis.call('SREM', KEYS[3], name) == 1 then
    redis.call('HDEL', KEYS[1], name)
    redis.call('ZREM', KEYS[2], name)
    redis.call('ZREM', KEYS[3 + number], name)
  end
end
