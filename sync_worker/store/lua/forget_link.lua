-- Forget a link in both directions, if both records still are linked to each other; a tombstone too. After fence.lua.
-- KEYS: by Bitrix24 record, by 1C record; then those of the leases
-- ARGV: Bitrix24 key, 1C key; then the leases' tokens
if not is_held(3, 3) then
  return 'lost'
end
local function partner_of(hash, key)
  local value = redis.call('HGET', hash, key)
  return value and string.match(value, '^%S+')
end

if partner_of(KEYS[1], ARGV[1]) == ARGV[2] and partner_of(KEYS[2], ARGV[2]) == ARGV[1] then
  redis.call('HDEL', KEYS[1], ARGV[1])
  redis.call('HDEL', KEYS[2], ARGV[2])
end
