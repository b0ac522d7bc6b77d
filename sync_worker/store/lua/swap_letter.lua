-- Write or remove one dead letter with all its indexes, if it still is what the caller has read.
-- KEYS: letters, order, names, causes, the order within the cause it had, within the one it has now, the last swap
-- ARGV: id, content that was read or '', new content or '' to remove, time, cause, this swap's token,
--       how many of the names that follow it has now; the others are those it no longer has
-- Returns 1 where it was done, 0 where the caller has to read again.
local letters, order, names, causes, order_before, order_now, last_swap = unpack(KEYS)
local id, read, content, at, cause, token = unpack(ARGV, 1, 6)
local kept = 7 + ARGV[7]

local function owner(name)
  local found = redis.call('HGET', names, name)
  return found and redis.call('HEXISTS', letters, found) == 1 and found
end

local current = redis.call('HGET', letters, id) or ''
if current ~= read then
  local is_repeated = redis.call('GET', last_swap) == token -- the answer to the first try was lost
  return is_repeated and 1 or 0
end
if read == '' then
  for i = 8, kept do
    if owner(ARGV[i]) then
      return 0 -- another worker has just filed one of this record
    end
  end
end

redis.call('SET', last_swap, token, 'EX', 600)
redis.call('ZREM', order_before, id)
for i = (content == '' and 8 or kept + 1), #ARGV do
  if redis.call('HGET', names, ARGV[i]) == id then
    redis.call('HDEL', names, ARGV[i])
  end
end
if content == '' then
  redis.call('HDEL', letters, id)
  redis.call('ZREM', order, id)
  return 1
end
for i = 8, kept do
  if not owner(ARGV[i]) then
    redis.call('HSET', names, ARGV[i], id)
  end
end
redis.call('HSET', letters, id, content)
redis.call('ZADD', order, at, id)
redis.call('ZADD', order_now, at, id)
redis.call('SADD', causes, cause)
return 1
