-- The portal was full when we thought otherwise: somebody else uses its budget. Everybody steps back.
-- KEYS: portal, counters; ARGV: now, lane, first backoff in seconds, longest, jitter from [0, 1)
local now = now_seconds()
local first, longest, jitter = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
redis.call('HINCRBYFLOAT', KEYS[2], ARGV[2] .. ' refused_requests', '1')
local portal = hash_of(KEYS[1])
if now < math.max(number_in(portal, 'shut', 0), number_in(portal, 'refused_until', 0)) then return 0 end -- the step is taken already
local times = number_in(portal, 'refusals', 0)
if now - number_in(portal, 'refused_until', 0) > 2 * longest then times = 0 end
local seconds = math.min(longest, first * 2 ^ times) * (0.75 + 0.5 * jitter)
local share = math.max(0.1, learned_share(portal, now) * 0.7)
redis.call('HSET', KEYS[1], 'shut', text(now + seconds), 'refused_at', text(now), 'refused_until', text(now + seconds),
  'refusals', text(times + 1), 'share', text(share), 'share_at', text(now))
redis.call('PEXPIRE', KEYS[1], KEPT_MS)
return 1
