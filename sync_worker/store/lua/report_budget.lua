-- How the budget stands now, as JSON. KEYS: portal, then each method; ARGV: now, rate, live threshold, limit
local now = now_seconds()
local plan_rate, live_full, limit = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local portal = hash_of(KEYS[1])
local rate = plan_rate * learned_share(portal, now)
local level, at = leaked(portal, now, rate, live_full)
local methods = {}
for index = 2, #KEYS do
  local method = hash_of(KEYS[index])
  local spent, reserved = running_time(method, now)
  methods[index - 1] = {
    used_seconds = spent + reserved,
    limit_seconds = limit_of(method, limit, now),
    cost_seconds = number_in(method, 'cost', DEFAULT_COST),
    blocked_seconds = math.max(0, number_in(method, 'blocked', 0) - now),
  }
end
local circuit = nil
if portal['open_since'] then
  circuit = {
    since = tonumber(portal['open_since']),
    cause = portal['open_cause'],
    message = portal['open_message'],
    probe_in_seconds = math.max(0, number_in(portal, 'probe_at', 0) - now),
  }
end
return cjson.encode({level = level, rate = rate, shut = math.max(0, at - now), circuit = circuit, methods = methods})
