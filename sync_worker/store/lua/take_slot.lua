-- Take one of a few slots, or wait in line for one.
-- KEYS: holders (by the end of their lease), line (by arrival), askers (by when they are forgotten)
-- ARGV: token, limit, lease in ms, patience in ms
-- Returns 0 where the slot is taken, else the place in line: 1 is next.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local token, limit, lease, patience = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])

redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
for _, gone in ipairs(redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', now)) do
  redis.call('ZREM', KEYS[2], gone)
  redis.call('ZREM', KEYS[3], gone)
end
if redis.call('ZSCORE', KEYS[1], token) then
  return 0 -- the answer of an earlier try was lost
end

local arrival = string.format('%.0f', time[1] * 1000000 + time[2]) -- as text: Redis cuts Lua's numbers to 14 digits
redis.call('ZADD', KEYS[2], 'NX', arrival, token)
local place = redis.call('ZRANK', KEYS[2], token) + 1
local free = limit - redis.call('ZCARD', KEYS[1])
if place <= free then
  redis.call('ZREM', KEYS[2], token)
  redis.call('ZREM', KEYS[3], token)
  redis.call('ZADD', KEYS[1], now + lease, token)
  redis.call('PEXPIRE', KEYS[1], lease * 2)
  return 0
end
redis.call('ZADD', KEYS[3], now + patience, token)
redis.call('PEXPIRE', KEYS[2], patience * 2)
redis.call('PEXPIRE', KEYS[3], patience * 2)
return place
