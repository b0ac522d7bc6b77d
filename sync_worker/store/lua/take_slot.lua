-- Take one of a few slots, or wait in line for one.
-- KEYS: holders (by the end of their lease), line (by turn), askers (by when they are forgotten)
-- ARGV: token, limit, lease in ms, patience in ms, by how many ms the turn comes later than the arrival
-- A token begins with its lane. Of several slots, bulk ones never hold the last.
-- Returns 0 where the slot is taken, else the place in line: 1 is next.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local token, limit, lease, patience = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])

local function is_bulk(one)
  return string.sub(one, 1, 5) == 'bulk:'
end

redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
for _, gone in ipairs(redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', now)) do
  redis.call('ZREM', KEYS[2], gone)
  redis.call('ZREM', KEYS[3], gone)
end
if redis.call('ZSCORE', KEYS[1], token) then
  return 0 -- the answer of an earlier try was lost
end

-- as text: Redis cuts Lua's numbers to 14 digits
local turn = string.format('%.0f', time[1] * 1000000 + time[2] + ARGV[5] * 1000)
redis.call('ZADD', KEYS[2], 'NX', turn, token)

local holders = redis.call('ZRANGE', KEYS[1], 0, -1)
local bulk_room = math.max(limit - 1, 1)
for _, holder in ipairs(holders) do
  if is_bulk(holder) then
    bulk_room = bulk_room - 1
  end
end

-- a bulk one that may not have the last slot lets those behind it pass
local before, may_go = 0, false
for _, one in ipairs(redis.call('ZRANGE', KEYS[2], 0, -1)) do
  may_go = not is_bulk(one) or bulk_room > 0
  if one == token then
    break
  end
  if may_go then
    before = before + 1
    if is_bulk(one) then
      bulk_room = bulk_room - 1
    end
  end
end
if may_go and before < limit - #holders then
  redis.call('ZREM', KEYS[2], token)
  redis.call('ZREM', KEYS[3], token)
  redis.call('ZADD', KEYS[1], now + lease, token)
  redis.call('PEXPIRE', KEYS[1], math.max(redis.call('PTTL', KEYS[1]), lease * 2)) -- others' leases may be longer
  return 0
end
redis.call('ZADD', KEYS[3], now + patience, token)
redis.call('PEXPIRE', KEYS[2], patience * 2)
redis.call('PEXPIRE', KEYS[3], patience * 2)
return before + 1
