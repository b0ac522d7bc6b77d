-- Take the idle session that was used last.
-- KEYS: idle sessions, each as "<ms of its last use> <cookie>", in the order in which to take them
-- ARGV: life in ms. Returns the cookie, or false where there is none.
local time = redis.call('TIME')
local oldest = time[1] * 1000 + math.floor(time[2] / 1000) - ARGV[1]
local entry = redis.call('LPOP', KEYS[1])
while entry do
  local used_at, cookie = string.match(entry, '^(%d+) (.+)$')
  if tonumber(used_at) >= oldest then
    return cookie
  end
  entry = redis.call('LPOP', KEYS[1])
end
return false
