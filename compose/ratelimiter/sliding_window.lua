-- One check of one key under one limit: prune, count, decide, record. Exact, by Redis' clock.
--
-- KEYS[1] the counter: one member per admitted unit, its score the time in microseconds
-- KEYS[2] the index of this limit's counters
-- ARGV    limit, window in ms, cost, a prefix that makes members unique, the key, the counters' prefix,
--         the index's bound
-- Answer  {1 or 0, remaining, milliseconds until the same check could be admitted}
local limit, window, cost = tonumber(ARGV[1]), tonumber(ARGV[2]) * 1000, tonumber(ARGV[3])
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])

-- %.0f: Lua writes large numbers with 14 digits, and these have 16.
local function digits(number)
  return string.format('%.0f', number)
end

redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', digits(now - window))
local count = redis.call('ZCARD', KEYS[1])

if count + cost > limit then
  local wait = window
  if cost <= limit then
    -- The unit whose leaving makes room.
    local rank = count + cost - limit - 1
    local unit = redis.call('ZRANGE', KEYS[1], rank, rank, 'WITHSCORES')
    wait = tonumber(unit[2]) + window - now
  end
  return {0, math.max(limit - count, 0), math.max(math.ceil(wait / 1000), 1)}
end

for unit = 1, cost do
  redis.call('ZADD', KEYS[1], digits(now), ARGV[4] .. ':' .. unit)
end
-- Absolute and rounded up: relative to the script's start it could forget a unit too early.
redis.call('PEXPIREAT', KEYS[1], digits(math.ceil((now + window) / 1000) + 1))

-- Every admission looks at the two longest unseen entries of the index, so it never holds many that are gone.
redis.call('ZADD', KEYS[2], digits(now), ARGV[5])
for _, key in ipairs(redis.call('ZRANGE', KEYS[2], 0, 1)) do
  if redis.call('EXISTS', ARGV[6] .. key) == 1 then
    redis.call('ZADD', KEYS[2], digits(now), key)
  else
    redis.call('ZREM', KEYS[2], key)
  end
end
local excess = redis.call('ZCARD', KEYS[2]) - tonumber(ARGV[7])
if excess > 0 then
  redis.call('ZREMRANGEBYRANK', KEYS[2], 0, excess - 1)
end
return {1, limit - count - cost, 0}
