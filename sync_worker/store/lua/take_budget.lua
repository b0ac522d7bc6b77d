-- May these commands leave now? Takes the request's token, and reserves their running time.
-- KEYS: portal, the method `batch`, then each method.
-- ARGV: now, lane, 1 if the token is paid for, rate, live threshold, bulk threshold, live share, longest wait, limit of
--       running time, 1 for a batch, then the number of commands of each method
-- Returns JSON: verdict (go, wait, late, open), and what belongs to it.
local now = now_seconds()
local lane, is_paid = ARGV[2], ARGV[3] == '1'
local plan_rate, live_full, bulk_full, live_share = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
local longest, limit, is_batch = tonumber(ARGV[8]), tonumber(ARGV[9]), ARGV[10] == '1'
local FIRST_COUNT = 11
local MOMENT = 0.000001 -- what `text` keeps of a number: a shorter wait would be told as none

local portal = hash_of(KEYS[1])
local methods, counts, costs = {}, {}, {}
for index = 3, #KEYS do
  methods[index] = hash_of(KEYS[index])
  counts[index] = tonumber(ARGV[FIRST_COUNT + index - 3])
  costs[index] = number_in(methods[index], 'cost', DEFAULT_COST)
end
local function by_place(values)
  local found = {}
  for index = 3, #KEYS do found[#found + 1] = values[index] end
  return found
end

-- 1. A portal that is down or has shut us out: one call now and then finds out whether it still is.
if portal['open_since'] then
  local probe_at = number_in(portal, 'probe_at', 0)
  if now < probe_at then
    return cjson.encode({verdict = 'open', wait = text(probe_at - now), message = portal['open_message']})
  end
  local gap = number_in(portal, 'probe_gap', 1)
  redis.call('HSET', KEYS[1], 'probe_at', text(now + gap), 'probe_gap', text(math.min(number_in(portal, 'probe_longest', gap), gap * 2)))
  return cjson.encode({verdict = 'go', is_probe = true, allowed = by_place(counts), blocked = {}, costs = by_place(costs), spare = '0'})
end

-- 2. The request's token.
local rate = plan_rate * learned_share(portal, now)
local level, at = leaked(portal, now, rate, live_full)
local full = lane == 'live' and live_full or bulk_full
local wait, next_bulk = 0, nil
if not is_paid then
  if lane == 'bulk' then
    next_bulk = now + 1 / (rate * (1 - live_share))
    if level + 1 > bulk_full + math.max(1, rate) then -- live work is at it, or as many of us wait as may
      local due = number_in(portal, 'next_bulk', 0)
      if now < due then -- what live work leaves us has been taken: look again, in no line
        return cjson.encode({verdict = 'wait', wait = text(math.min(due - now, 1)), is_reserved = false})
      end
      full = live_full -- our share is due: for this one token bulk counts as live
    end
  end
  wait = (at - now) + math.max(0, (level + 1 - full) / rate)
  -- the last place in line is kept for bulk's share: else live work that fills the line would leave it none
  local patience = lane == 'live' and math.max(0, longest - 1 / rate) or longest
  if wait > patience + MOMENT then return cjson.encode({verdict = 'late', wait = text(wait)}) end
elseif at > now then -- shut since the token was reserved: its turn moves on by as much as the bucket was shut for
  local moved = number_in(portal, 'refused_until', at) - number_in(portal, 'refused_at', now)
  return cjson.encode({verdict = 'wait', wait = text(math.max(moved, MOMENT)), is_reserved = true})
end
local function save(level_after)
  redis.call('HSET', KEYS[1], 'level', text(level_after), 'at', text(at))
  redis.call('HDEL', KEYS[1], 'shut')
  if next_bulk then redis.call('HSET', KEYS[1], 'next_bulk', text(next_bulk)) end
  redis.call('PEXPIRE', KEYS[1], KEPT_MS)
end
if wait > MOMENT then -- the token is theirs when it comes
  save(level + 1)
  return cjson.encode({verdict = 'wait', wait = text(wait), is_reserved = true})
end

-- 3. Running time: what of it fits under each method's limit.
local blocked, allowed, any = {}, {}, false
local function seconds_until(slices, needed)
  for _, slice in ipairs(slices) do
    needed = needed - slice.seconds
    if needed <= 0 then return (slice.slice + 1) * SLICE + WINDOW - now end
  end
  return WINDOW
end
local function fitting(method, cost, count)
  local shut_until = number_in(method, 'blocked', 0)
  if shut_until > now then return 0, shut_until - now end
  local spent, reserved, slices = running_time(method, now)
  local free = limit_of(method, limit, now) - spent - reserved
  local number = cost <= 0 and count or math.max(0, math.min(count, math.floor(free / cost)))
  if number == count then return number, nil end
  if number == 0 and spent + reserved == 0 then number = 1 end -- dearer than all that there is: let one try
  return number, math.max(1, seconds_until(slices, cost - free + number * cost))
end

local function answer(told)
  told.costs, told.spare = by_place(costs), text(math.max(0, 1 - level / full))
  return cjson.encode(told)
end

local batch, batch_cost = hash_of(KEYS[2]), nil
local weight = number_in(batch, 'weight', 0)
if is_batch and weight > 0 then -- this portal bills a batch as a whole, and its commands not at all
  local seconds = 0
  for index = 3, #KEYS do seconds = seconds + costs[index] * counts[index] end
  batch_cost = weight * seconds
  local number, block = fitting(batch, batch_cost, 1)
  if number == 0 then
    if is_paid then save(math.max(0, level - 1)) end
    return answer({verdict = 'go', allowed = {}, blocked = {batch = text(block or 1)}})
  end
  redis.call('HINCRBYFLOAT', KEYS[2], slice_name('r', now), text(batch_cost))
  redis.call('PEXPIRE', KEYS[2], KEPT_MS)
  allowed, any = counts, true
else
  for index = 3, #KEYS do
    local number, block = fitting(methods[index], costs[index], counts[index])
    allowed[index] = number
    if block then blocked[tostring(index - 2)] = text(block) end
    if number > 0 then
      any = true
      redis.call('HINCRBYFLOAT', KEYS[index], slice_name('r', now), text(costs[index] * number))
      redis.call('PEXPIRE', KEYS[index], KEPT_MS)
    end
  end
end

if is_paid then
  if not any then level = math.max(0, level - 1) end
  save(level)
elseif any then
  level = level + 1
  save(level)
end
return answer({verdict = 'go', allowed = by_place(allowed), blocked = blocked, batch_cost = batch_cost and text(batch_cost)})
