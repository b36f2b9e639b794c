-- Add a batch of admitted units to a node's tally, once: a batch that is sent again is known by its number.
--
-- KEYS[1] the tally
-- ARGV    the batch's number, seconds to live, the field of the last number, then limit and units in turn
local last = tonumber(redis.call('HGET', KEYS[1], ARGV[3]) or '0')
if tonumber(ARGV[1]) <= last then
  return 0
end
for i = 4, #ARGV, 2 do
  redis.call('HINCRBY', KEYS[1], ARGV[i], ARGV[i + 1])
end
redis.call('HSET', KEYS[1], ARGV[3], ARGV[1])
redis.call('EXPIRE', KEYS[1], tonumber(ARGV[2]))
return 1
