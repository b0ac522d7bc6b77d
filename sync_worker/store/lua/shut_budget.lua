-- Nobody takes from the bucket for a while.
-- KEYS: the bucket; ARGV: seconds, now in seconds or ''
local now = tonumber(ARGV[2])
if not now then
  local time = redis.call('TIME')
  now = time[1] + time[2] / 1000000
end
local shut = math.max(now + ARGV[1], tonumber(redis.call('HGET', KEYS[1], 'shut') or 0))
redis.call('HSET', KEYS[1], 'shut', string.format('%.6f', shut))
local lasts = math.ceil((shut - now) * 1000) + 60000
if redis.call('PTTL', KEYS[1]) < lasts then
  redis.call('PEXPIRE', KEYS[1], lasts)
end
