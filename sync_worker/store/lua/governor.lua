-- What the governor's scripts share. KEYS[1] is the portal's hash; ARGV[1] the time in seconds, or '' for Redis's own.
local WINDOW, SLICE = 600, 10 -- running time counts for ten minutes; ours is kept in finer slices than the portal's
local KEPT_MS = 86400000
local RECOVERY = 600 -- seconds in which a rate that was cut comes back
local LIMIT_RECOVERY = 3600 -- the same for a method's limit
local DEFAULT_COST = 0.5

local function now_seconds()
  local given = tonumber(ARGV[1])
  if given then return given end
  local time = redis.call('TIME')
  return time[1] + time[2] / 1000000
end

local function text(number) return string.format('%.6f', number) end

local function hash_of(key)
  local flat, found = redis.call('HGETALL', key), {}
  for index = 1, #flat, 2 do found[flat[index]] = flat[index + 1] end
  return found
end

local function number_in(hash, name, otherwise) return tonumber(hash[name] or '') or otherwise end

-- The share of the plan's rate that is ours to use: cut by each refusal, it grows back.
local function learned_share(portal, now)
  local share, at = number_in(portal, 'share', 1), number_in(portal, 'share_at', now)
  return math.min(1, share + math.max(0, now - at) / RECOVERY)
end

-- The level now, and the second for which it holds: later than now while the bucket is shut.
local function leaked(portal, now, rate, full)
  local level, at, shut = number_in(portal, 'level', 0), number_in(portal, 'at', 0), number_in(portal, 'shut', 0)
  if shut > at then -- the portal said that it is full: then it is, and nothing leaks until it opens again
    level = math.max(full, level - math.max(0, number_in(portal, 'refused_at', at) - at) * rate)
    at = shut
  end
  if now > at then
    level = math.max(0, level - (now - at) * rate)
    at = now
  end
  return level, at
end

-- Sums of a method's running time: spent, and reserved by requests under way. A slice counts until all of it is too old.
local function running_time(method, now)
  local spent, reserved, slices = 0, 0, {}
  for name, value in pairs(method) do
    local kind, slice = string.match(name, '^([sr]):(%d+)$')
    if kind and (tonumber(slice) + 1) * SLICE + WINDOW > now then
      if kind == 's' then spent = spent + tonumber(value) else reserved = reserved + tonumber(value) end
      slices[#slices + 1] = {name = name, kind = kind, slice = tonumber(slice), seconds = tonumber(value)}
    end
  end
  table.sort(slices, function(one, other) return one.slice < other.slice end)
  return spent, reserved, slices
end

local function slice_name(kind, now) return kind .. ':' .. string.format('%d', math.floor(now / SLICE)) end

-- What a method may run for in ten minutes: less than the setting, for a while, where the portal has refused earlier.
local function limit_of(method, limit, now)
  local learned, at = number_in(method, 'limit', limit), number_in(method, 'limit_at', now)
  if learned >= limit then return limit end
  return math.min(limit, learned + (limit - learned) * math.max(0, now - at) / LIMIT_RECOVERY)
end
