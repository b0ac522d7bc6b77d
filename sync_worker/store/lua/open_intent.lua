-- Write down that something is about to be made, unless an earlier try of it may still arrive; after fence.lua.
-- KEYS: intents; then those of the leases
-- ARGV: the record's field, the value, Unix seconds: an earlier try of before then is settled; then the leases' tokens
-- Returns 1 where it was written, 0 where the earlier one stands.
if not is_held(2, 4) then
  return 'lost'
end
local earlier = redis.call('HGET', KEYS[1], ARGV[1])
if earlier and cjson.decode(earlier)['at'] > tonumber(ARGV[3]) then
  return 0
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
return 1
