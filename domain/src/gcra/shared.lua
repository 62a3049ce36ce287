-- The step of one request over its buckets, all or none, where they are kept for several nodes: the rule of `gcra.rs`.
--
-- KEYS: one for each bucket. ARGV: four for each, in nanoseconds but the last: its interval, its capacity, how far ahead of
-- now the asking node has it, and 1 if that must hold. Answers 1 or 0 for admitted, the time in microseconds since 1970, and
-- how far ahead of now each bucket is.
-- `seconds` and `nanos` are now, `keep` writes a level; what comes before this text says both.
-- A level is the moment it is full again, as seconds and nanoseconds: a double holds either, and no sum of the two.

local ahead, is_news, admitted = {}, {}, 1
for n, key in ipairs(KEYS) do
  local interval, capacity = tonumber(ARGV[4 * n - 3]), tonumber(ARGV[4 * n - 2])
  local kept, own = redis.call('GET', key), tonumber(ARGV[4 * n - 1])
  ahead[n] = 0
  if kept then
    local full_s, full_ns = string.match(kept, '^(%d+)%.(%d+)$')
    kept = full_s -- what is no level is as good as none
    ahead[n] = full_s and (full_s - seconds) * 1e9 + (full_ns - nanos) or 0
  end
  if own > ahead[n] and (ARGV[4 * n] == '1' or not kept) then
    ahead[n], is_news[n] = own, true
  end
  if ahead[n] > capacity then
    ahead[n], is_news[n] = capacity, true
  end
  ahead[n] = math.max(ahead[n], 0)
  if ahead[n] + interval > capacity then
    admitted = 0
  end
end

for n, key in ipairs(KEYS) do
  if admitted == 1 then
    ahead[n] = ahead[n] + tonumber(ARGV[4 * n - 3])
  end
  if admitted == 1 or is_news[n] then
    local full = nanos + ahead[n]
    local level = string.format('%d.%d', seconds + math.floor(full / 1e9), full % 1e9)
    keep(key, level, math.max(math.ceil(ahead[n] / 1e6), 1))
  end
end
return { admitted, seconds * 1e6 + math.floor(nanos / 1e3), unpack(ahead) }
