-- Save one link in both directions, unless either record has one already: a living link and a tombstone both count.
-- KEYS: by Bitrix24 record, by 1C record
-- ARGV: Bitrix24 key, 1C key
-- Returns "saved", "known" where these two are linked to each other, "other" where one is linked elsewhere.
local onec = redis.call('HGET', KEYS[1], ARGV[1])
local bitrix24 = redis.call('HGET', KEYS[2], ARGV[2])
if not onec and not bitrix24 then
  redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
  redis.call('HSET', KEYS[2], ARGV[2], ARGV[1])
  return 'saved'
end
local is_ours = onec and bitrix24
  and string.match(onec, '^%S+') == ARGV[2] and string.match(bitrix24, '^%S+') == ARGV[1]
return is_ours and 'known' or 'other'
