-- Write or remove one dead letter with all its indexes, if it still is what the caller has read.
-- KEYS: letters, names, words, causes, groups by size, titles of groups, the last swap of this letter
-- ARGV: id, content that was read or '', new content or '' to remove, time, cause, title of its group, this swap's token,
--       where it has to stand, where it has to stand no more
-- The last two are JSON, {names, words, orders, groups}: orders are the keys of sorted sets by time, groups are those
-- of them that are a group's. These keys are in no KEYS, which a single Redis does not mind.
-- Returns 1 where it was done, 0 where the caller has to read again.
local letters, names, words, causes, sizes, titles, last_swap = unpack(KEYS)
local id, read, content, at, cause, title, token = unpack(ARGV, 1, 7)
local has, gone = cjson.decode(ARGV[8]), cjson.decode(ARGV[9])

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
  for _, name in ipairs(has.names) do
    if owner(name) then
      return 0 -- another worker has just filed one of this record
    end
  end
end

local function count(group)
  local size = redis.call('ZCARD', group)
  if size == 0 then
    redis.call('ZREM', sizes, group)
    redis.call('HDEL', titles, group)
  else
    redis.call('ZADD', sizes, size, group)
  end
end

redis.call('SET', last_swap, token, 'EX', 600)
for _, name in ipairs(gone.names) do
  if redis.call('HGET', names, name) == id then
    redis.call('HDEL', names, name)
  end
end
for _, word in ipairs(gone.words) do
  redis.call('ZREM', words, word)
end
for _, order in ipairs(gone.orders) do
  redis.call('ZREM', order, id)
end
for _, group in ipairs(gone.groups) do
  count(group)
end
if content == '' then
  redis.call('HDEL', letters, id)
  return 1
end

for _, name in ipairs(has.names) do
  if not owner(name) then
    redis.call('HSET', names, name, id)
  end
end
for _, word in ipairs(has.words) do
  redis.call('ZADD', words, 0, word)
end
for _, order in ipairs(has.orders) do
  redis.call('ZADD', order, at, id)
end
for _, group in ipairs(has.groups) do
  redis.call('HSET', titles, group, title)
  count(group)
end
redis.call('HSET', letters, id, content)
redis.call('SADD', causes, cause)
return 1
