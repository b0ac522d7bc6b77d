-- Park one event, if what was parked of its record still is what the caller has read.
-- KEYS: events, ready times, released, seen times of its entity
-- ARGV: name, content that was read or '', new content, ready time in ms, second at which it was seen
-- Returns 1 where it was done, 0 where the caller has to read again.
local name, read, content, ready = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
local current = redis.call('HGET', KEYS[1], name) or ''
if current ~= read and current ~= content then
  return 0
end
local before = redis.call('ZSCORE', KEYS[2], name)
-- a released one stands at the end of its lease, which is no ready time
local was_released = redis.call('SREM', KEYS[3], name) == 1
if before and not was_released then
  ready = math.min(ready, tonumber(before))
end
redis.call('HSET', KEYS[1], name, content)
redis.call('ZADD', KEYS[2], ready, name)
local seen = tonumber(ARGV[5])
local seen_before = redis.call('ZSCORE', KEYS[4], name)
-- of several that became one the oldest counts, unless that one is on its way already
if seen_before and not was_released then
  seen = math.min(seen, tonumber(seen_before))
end
redis.call('ZADD', KEYS[4], seen, name)
return 1
