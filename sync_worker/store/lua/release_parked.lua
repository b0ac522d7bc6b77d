-- Hand out what is ready, and keep it for as long as its releaser may need to queue it.
-- KEYS: events, ready times, released; ARGV: now in ms, limit, end of the lease in ms
local names = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', ARGV[1], 'LIMIT', 0, ARGV[2])
local contents = {}
for _, name in ipairs(names) do
  redis.call('ZADD', KEYS[2], ARGV[3], name)
  redis.call('SADD', KEYS[3], name)
  contents[#contents + 1] = redis.call('HGET', KEYS[1], name)
end
return contents
