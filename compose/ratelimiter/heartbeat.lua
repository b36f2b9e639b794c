-- Say that a node is there, by Redis' clock, and keep its tally from expiring while it lives.
--
-- KEYS[1] the registry   KEYS[2] the node's tally
-- ARGV    name, address, pid, boot id, seconds that a tally outlives its node
local time = redis.call('TIME')
local at = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local entry = string.format('{"address":%s,"pid":%d,"boot_id":%s,"at_ms":%.0f}',
  cjson.encode(ARGV[2]), tonumber(ARGV[3]), cjson.encode(ARGV[4]), at)
redis.call('HSET', KEYS[1], ARGV[1], entry)
redis.call('EXPIRE', KEYS[2], tonumber(ARGV[5]))
return 1
