-- Move a record's moments on: the last read, and the last that was whole. Neither ever goes back.
-- KEYS: the record's entry
-- ARGV: when the read began in microseconds, 1 where it was whole, seconds that the entry lives
-- Texts are kept as they came: a number of this size would be written with an exponent.
local began, is_whole = ARGV[1], ARGV[2] == '1'
local any, whole = string.match(redis.call('GET', KEYS[1]) or '0 0', '^(%d+) (%d+)$')
local function later(one, other)
  return tonumber(one) > tonumber(other) and one or other
end
redis.call('SET', KEYS[1], later(began, any) .. ' ' .. (is_whole and later(began, whole) or whole), 'EX', ARGV[3])
