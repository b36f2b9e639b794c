-- Change a limit that exists: a new version, stored and published in one step.
--
-- KEYS[1] the limits, also the channel's name
-- ARGV    name, limit, window in ms or '' for the present one
-- Answer  {stored JSON, how many subscribers were told}, or nothing where there is no such limit
local stored = redis.call('HGET', KEYS[1], ARGV[1])
if not stored then
  return false
end
local old = cjson.decode(stored)
local window = ARGV[3] ~= '' and tonumber(ARGV[3]) or old.window_ms
local new = string.format('{"limit":%d,"window_ms":%d,"version":%d}', tonumber(ARGV[2]), window, old.version + 1)
redis.call('HSET', KEYS[1], ARGV[1], new)
local told = redis.call('PUBLISH', KEYS[1], string.format('{"name":"%s",%s', ARGV[1], string.sub(new, 2)))
return {new, told}
