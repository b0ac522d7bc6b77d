-- Take from a leaky bucket, reserving in order.
-- KEYS: the bucket, a hash: level, at (the second for which the level holds), shut (full until that second)
-- ARGV: cost, rate per second, burst, longest wait in seconds, now in seconds or ''
-- Returns {1, wait} where it was taken, {0, wait} where the wait would be too long; waits as text: Lua numbers are cut.
local cost, rate, burst, longest = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local now = tonumber(ARGV[5])
if not now then
  local time = redis.call('TIME')
  now = time[1] + time[2] / 1000000
end

local state = redis.call('HMGET', KEYS[1], 'level', 'at', 'shut')
local level, at, shut = tonumber(state[1] or 0), tonumber(state[2] or now), tonumber(state[3] or 0)
if now > at then
  level = math.max(0, level - (now - at) * rate)
  at = now
end
if shut > at then -- the remote said that it is full: then it is, and nothing leaks until then
  level = math.max(level, burst)
  at = shut
end

local wait = (at - now) + math.max(0, (level + cost - burst) / rate)
if wait > longest then
  return {0, string.format('%.6f', wait)}
end
level = level + cost
redis.call('HSET', KEYS[1], 'level', string.format('%.6f', level), 'at', string.format('%.6f', at))
redis.call('HDEL', KEYS[1], 'shut')
redis.call('PEXPIRE', KEYS[1], math.ceil(((at - now) + level / rate) * 1000) + 60000)
return {1, string.format('%.6f', wait)}
