-- True where each lease is still its holder's: KEYS from `first_key` on, their tokens in ARGV from `first_arg` on.
-- In one step with the write that follows, so nobody takes a lease over in between.
local function is_held(first_key, first_arg)
  for place = 0, #KEYS - first_key do
    if redis.call('GET', KEYS[first_key + place]) ~= ARGV[first_arg + place] then
      return false
    end
  end
  return true
end
