-- Keep a session for whoever comes next.
-- KEYS: idle sessions and those in use, as in take_session.lua; doubtful ones: cookies whose last call was cut
-- ARGV: cookie, life in ms, how many are kept, whether its call was cut: 1 or 0, the slot it was used in, or '' for a
--   new one
local cookie, life, limit, was_cut = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4] == '1'
if ARGV[5] ~= '' and redis.call('HGET', KEYS[2], cookie) ~= ARGV[5] then
  return -- its slot had run out, and somebody else has it: were it kept twice, another one would be dropped for it
end
redis.call('HDEL', KEYS[2], cookie)
local is_doubtful = redis.call('SREM', KEYS[3], cookie) == 1
if was_cut and is_doubtful then
  return -- twice running: whatever it is, it is of no use
end
local time = redis.call('TIME')
local entry = string.format('%.0f %s', time[1] * 1000 + math.floor(time[2] / 1000), cookie)
if was_cut then
  redis.call('SADD', KEYS[3], cookie)
  redis.call('PEXPIRE', KEYS[3], life)
  redis.call('RPUSH', KEYS[1], entry) -- taken last: 1C may still be at work in it
else
  redis.call('LPUSH', KEYS[1], entry)
end
redis.call('LTRIM', KEYS[1], 0, limit - 1)
redis.call('PEXPIRE', KEYS[1], life)
