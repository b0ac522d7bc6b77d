-- Save one link in both directions, and forget older links and the intents of either record; after fence.lua.
-- KEYS: by Bitrix24 record, by 1C record, intents; then those of the leases
-- ARGV: Bitrix24 key, 1C key, what follows the key in a value (a tombstone's mark, or nothing), the fields of the two in
--   the intents; then the leases' tokens
if not is_held(4, 6) then
  return 'lost'
end
local function partner_of(hash, key)
  local value = redis.call('HGET', hash, key)
  return value and string.match(value, '^%S+')
end

local old_onec = partner_of(KEYS[1], ARGV[1])
if old_onec and old_onec ~= ARGV[2] then
  redis.call('HDEL', KEYS[2], old_onec)
end
local old_bitrix24 = partner_of(KEYS[2], ARGV[2])
if old_bitrix24 and old_bitrix24 ~= ARGV[1] then
  redis.call('HDEL', KEYS[1], old_bitrix24)
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2] .. ARGV[3])
redis.call('HSET', KEYS[2], ARGV[2], ARGV[1] .. ARGV[3])
redis.call('HDEL', KEYS[3], ARGV[4], ARGV[5])
