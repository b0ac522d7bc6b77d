-- Keep what is remembered of a record, or forget it; after fence.lua.
-- KEYS: the hash; ARGV: the record's key, the value (blank: forget); then the leases' keys and tokens
if not is_held(2, 3) then
  return 'lost'
end
if ARGV[2] == '' then
  redis.call('HDEL', KEYS[1], ARGV[1])
else
  redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
end
