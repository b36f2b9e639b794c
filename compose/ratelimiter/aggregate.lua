-- The batch client's everyday work: how many counters are live, per limit. Cheap.
--
-- KEYS[1] the limits   ARGV the indexes' prefix
local sizes = {}
for _, name in ipairs(redis.call('HKEYS', KEYS[1])) do
  table.insert(sizes, name)
  table.insert(sizes, redis.call('ZCARD', ARGV[1] .. name))
end
return sizes
