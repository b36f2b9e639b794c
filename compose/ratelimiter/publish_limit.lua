-- Publish a stored limit again, as it stands.
--
-- KEYS[1] the limits, also the channel's name
-- ARGV    name
-- Answer  {stored JSON, how many subscribers were told}, or nothing where there is no such limit
local stored = redis.call('HGET', KEYS[1], ARGV[1])
if not stored then
  return false
end
return {stored, redis.call('PUBLISH', KEYS[1], string.format('{"name":"%s",%s', ARGV[1], string.sub(stored, 2)))}
