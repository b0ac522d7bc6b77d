-- Take the idle session that was used last, else one whose user died in it.
-- KEYS: idle sessions, each as "<ms of its last use> <cookie>", in the order in which to take them; those in use,
--   cookie -> the slot it is used in; holders of slots (take_slot.lua)
-- ARGV: life in ms, the taker's slot. Returns the cookie, or false where there is none.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local oldest = now - ARGV[1]

local function taken(cookie)
  redis.call('HSET', KEYS[2], cookie, ARGV[2])
  redis.call('PEXPIRE', KEYS[2], ARGV[1])
  return cookie
end

local entry = redis.call('LPOP', KEYS[1])
while entry do
  local used_at, cookie = string.match(entry, '^(%d+) (.+)$')
  if tonumber(used_at) >= oldest then
    return taken(cookie)
  end
  entry = redis.call('LPOP', KEYS[1])
end

local in_use = redis.call('HGETALL', KEYS[2])
for place = 1, #in_use, 2 do
  local ends = redis.call('ZSCORE', KEYS[3], in_use[place + 1])
  if not ends or tonumber(ends) <= now then
    return taken(in_use[place]) -- 1C may still be at work in it: then our call waits for that
  end
end
return false
