-- One chunk of a rebuild: digests over a range, all of it inside Redis, which serves nobody else meanwhile.
--
-- ARGV where the range starts, how many steps
local digest = ARGV[1]
for step = 1, tonumber(ARGV[2]) do
  digest = redis.sha1hex(digest .. step)
end
return digest
