-- A request came back, or was lost: its reservation becomes what it really took, and the lane's counters grow.
-- KEYS: portal, the method `batch`, the counters, the names of all methods, then each method.
-- ARGV: now, lane, limit, 1 for a probe that came through, JSON {waited, commands, refused_commands, is_lost, is_failed,
--       methods, batch}; methods, one a key: {name, reserved, commands, seconds, operating, resets_at, refused}; batch:
--       {reserved, operating, resets_at, nested: seconds of its commands, refused}
local now = now_seconds()
local lane, limit, closes = ARGV[2], tonumber(ARGV[3]), ARGV[4] == '1'
local told = cjson.decode(ARGV[5])
local ANSWERED, null = not told.is_lost, cjson.null
local function given(value) return value ~= nil and value ~= null end

local function add(key, name, seconds)
  redis.call('HINCRBYFLOAT', key, name, text(seconds))
end

-- Take so many seconds of one kind out of the slices, from the first given to the last.
local function take_away(key, slices, kind, seconds, first, last)
  for index = first, last, first <= last and 1 or -1 do
    local slice = slices[index]
    if slice.kind == kind and seconds > 0 then
      local part = math.min(seconds, slice.seconds)
      seconds = seconds - part
      if part >= slice.seconds - 1e-6 then redis.call('HDEL', key, slice.name) else add(key, slice.name, -part) end
    end
  end
end

-- Answers overtake one another. Until its oldest minute ends the portal's sum only grows, so of two figures with the same
-- end the higher is the newer. Returns whether this one is the newest, and whether it belongs to the minutes of the last.
local function order(method, one)
  local ends, said = number_in(method, 'resets_at', 0), number_in(method, 'said', 0)
  local end_now = given(one.resets_at) and one.resets_at or now
  local is_same = math.abs(end_now - ends) < 0.5
  return end_now > ends and not is_same or is_same and one.operating >= said, is_same
end

-- The portal's own sum is believed. What others of us have under way may or may not be in it: so it raises ours only by
-- what our reservations do not explain, and lowers only what was spent. An older figure lowers nothing.
local function believe(key, operating, is_newest)
  local spent, reserved, slices = running_time(hash_of(key), now)
  if operating > spent + reserved then
    add(key, slice_name('s', now), operating - spent - reserved)
  elseif is_newest and operating < spent then
    take_away(key, slices, 's', spent - operating, 1, #slices)
  end
end

local function forget_old(key, method, slices)
  local live = {}
  for _, slice in ipairs(slices) do live[slice.name] = true end
  for name in pairs(method) do
    if string.match(name, '^[sr]:%d+$') and not live[name] then redis.call('HDEL', key, name) end
  end
  redis.call('PEXPIRE', key, KEPT_MS)
end

local function refuse(key, method)
  local spent, reserved = running_time(method, now)
  local resets_at = number_in(method, 'resets_at', 0)
  local lower = math.max(limit / 2, 0.95 * (spent + reserved))
  redis.call('HSET', key, 'blocked', text(resets_at > now and resets_at or now + 60))
  redis.call('HSET', key, 'limit', text(math.min(limit_of(method, limit, now), lower)), 'limit_at', text(now))
end

local function settle(key, one)
  local method = hash_of(key) -- read once: nothing that is written before a question to it changes the answer
  local _, _, slices = running_time(method, now)
  -- which slice a reservation lies in is nobody's business, only the sum counts
  if ANSWERED and #slices > 0 then take_away(key, slices, 'r', one.reserved, #slices, 1) end
  if given(one.operating) then -- a portal that does not tell it does not limit it
    local is_newest = order(method, one)
    if (one.seconds or 0) > 0 then add(key, slice_name('s', now), one.seconds) end
    believe(key, one.operating, is_newest)
    if is_newest then redis.call('HSET', key, 'said', text(one.operating)) end
    if is_newest and given(one.resets_at) then redis.call('HSET', key, 'resets_at', text(one.resets_at)) end
  end
  if one.refused then refuse(key, hash_of(key)) end
  forget_old(key, method, slices)
end

for index, one in ipairs(told.methods) do
  local key = KEYS[index + 4]
  if (one.commands or 0) > 0 then
    local method = hash_of(key)
    local fresh, before = one.seconds / one.commands, tonumber(method['cost'] or '')
    local part = before and fresh < before and 0.1 or 0.3 -- dearer is believed sooner than cheaper
    redis.call('HSET', key, 'cost', text(before and before + (fresh - before) * part or fresh))
  end
  redis.call('SADD', KEYS[4], one.name)
  settle(key, one)
end

-- How much of its commands' time the portal bills a batch for: what its sum grew by, beside what we had run since. An
-- old figure grew by nothing, but its commands count. When a minute has left the sum, that starts anew.
local function learn_weight(key, one)
  local batch = hash_of(key)
  local is_newest, is_same = order(batch, one)
  if not batch['said'] then -- may hold what was run before our time: good for a first guess only
    redis.call('HSET', key, 'weight', text(math.min(1, one.operating / one.nested)))
  elseif is_same and one.operating >= number_in(batch, 'base', 0) then
    local growth = math.max(0, one.operating - number_in(batch, 'said', 0))
    local grown, nested = number_in(batch, 'grown', 0) * 0.9 + growth, number_in(batch, 'nested', 0) * 0.9 + one.nested
    redis.call('HSET', key, 'grown', text(grown), 'nested', text(nested), 'weight', text(grown / nested))
    return growth
  end
  if is_newest then redis.call('HSET', key, 'base', text(one.operating)) end
  return number_in(hash_of(key), 'weight', 0) * one.nested
end

if given(told.batch) then
  local key, one = KEYS[2], told.batch
  if given(one.operating) and one.nested > 0 then one.seconds = learn_weight(key, one) end
  redis.call('SADD', KEYS[4], 'batch')
  settle(key, one)
end

redis.call('PEXPIRE', KEYS[4], KEPT_MS)

if closes then
  redis.call('HDEL', KEYS[1], 'open_since', 'open_cause', 'open_message', 'probe_at', 'probe_gap', 'probe_longest')
end
if not told.is_failed and redis.call('HEXISTS', KEYS[1], 'failures') == 1 then
  redis.call('HDEL', KEYS[1], 'failures', 'failing_since')
end

local function count(name, by) if by > 0 then redis.call('HINCRBYFLOAT', KEYS[3], lane .. ' ' .. name, text(by)) end end
count('requests', 1)
count('commands', told.commands)
count('waited_seconds', told.waited)
count('refused_commands', told.refused_commands)
count('lost_answers', told.is_lost and 1 or 0)
