-- A call failed: the portal is down, or has shut us out. Returns 1 for the one call that opens the circuit.
-- KEYS: portal; ARGV: now, cause, message, 1 if it is final, failures that open it, within seconds, gap before the first
--       probe, longest gap
local now = now_seconds()
local is_final, many, within, gap = ARGV[4] == '1', tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
local portal = hash_of(KEYS[1])
redis.call('PEXPIRE', KEYS[1], KEPT_MS)
if portal['open_since'] then
  redis.call('HSET', KEYS[1], 'open_cause', ARGV[2], 'open_message', ARGV[3])
  return 0
end
local failures, since = number_in(portal, 'failures', 0), number_in(portal, 'failing_since', now)
if now - since > within then failures, since = 0, now end
failures = failures + 1
redis.call('HSET', KEYS[1], 'failures', failures, 'failing_since', text(since))
if not is_final and failures < many then return 0 end
redis.call('HSET', KEYS[1], 'open_since', text(now), 'open_cause', ARGV[2], 'open_message', ARGV[3],
  'probe_at', text(now + gap), 'probe_gap', text(gap * 2), 'probe_longest', ARGV[8])
return 1
