-- Everything that the nodes share, at one moment.
--
-- KEYS[1] the limits   KEYS[2] the registry
-- ARGV    prefixes of tallies, indexes and counters; how many index entries to look at and how many counters
--         to show, per limit; one limit or ''; one key of that limit or ''
-- Answer  {limits: name, JSON, …; nodes: name, JSON, age in ms, …; tallies: {node, boot id, error, counts};
--          counters: {limit, key, count, ttl in ms or -1}}
local tally_prefix, active_prefix, counter_prefix = ARGV[1], ARGV[2], ARGV[3]
local look_at, show = tonumber(ARGV[4]), tonumber(ARGV[5])
local only_limit, only_key = ARGV[6], ARGV[7]
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])

local limits = redis.call('HGETALL', KEYS[1])
local registry = redis.call('HGETALL', KEYS[2])
local nodes, tallies = {}, {}
for i = 1, #registry, 2 do
  local node = cjson.decode(registry[i + 1])
  table.insert(nodes, registry[i])
  table.insert(nodes, registry[i + 1])
  table.insert(nodes, math.max(math.floor(now / 1000) - node.at_ms, 0))
  -- A tally that is not a hash is one node's trouble and must not hide the others.
  local counts = redis.pcall('HGETALL', tally_prefix .. registry[i] .. ':' .. node.boot_id)
  if counts.err then
    table.insert(tallies, {registry[i], node.boot_id, counts.err, {}})
  else
    table.insert(tallies, {registry[i], node.boot_id, '', counts})
  end
end

local function counters_of(name, window_ms)
  local found = {}
  local keys = {only_key}
  if only_key == '' then
    keys = redis.call('ZREVRANGE', active_prefix .. name, 0, look_at - 1)
  end
  for _, key in ipairs(keys) do
    local counter = counter_prefix .. name .. ':' .. key
    local ttl = redis.call('PTTL', counter)
    if ttl ~= -2 then
      local count = redis.pcall('ZCOUNT', counter, string.format('(%.0f', now - window_ms * 1000), '+inf')
      -- Something that is no counter stands under a counter's name: shown, with nothing in it.
      table.insert(found, {name, key, type(count) == 'number' and count or 0, ttl})
    end
  end
  table.sort(found, function(a, b)
    if a[3] ~= b[3] then return a[3] > b[3] end
    return a[2] < b[2]
  end)
  return found
end

local counters = {}
for i = 1, #limits, 2 do
  if only_limit == '' or only_limit == limits[i] then
    local found = counters_of(limits[i], cjson.decode(limits[i + 1]).window_ms)
    for rank = 1, math.min(#found, show) do
      table.insert(counters, found[rank])
    end
  end
end
return {limits, nodes, tallies, counters}
