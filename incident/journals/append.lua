-- Compare and append: everything is compared first, then everything is written. Nothing can come in between,
-- because the server runs one script at a time and writes what a script did as one piece.
--
-- KEYS  heads, epochs, pairs, open, holds, bells, then the stream of each part
-- ARGV  one JSON object (names and small whole numbers only), then the lines of all parts in order
--
-- Entry ids are explicit (number-0): a repeated append whose answer was lost is refused, never doubled.
-- Hashes are made outside; the server only compares them.

local heads, epochs, pairs, open, holds, bells = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local batch = cjson.decode(ARGV[1])
local incident = batch.parts[1].incident

-- Heads come first: the answer "moved" must win over every other one, for after a lost reply it makes the caller
-- read back and find its own record.
for number, part in ipairs(batch.parts) do
  local head = redis.call('HGET', heads, part.incident) or batch.nothing
  if head ~= part.seq .. ' ' .. part.h then
    return {'MOVED', part.incident, string.match(head, '^%d+')}
  end
  local last = redis.call('XREVRANGE', KEYS[6 + number], '+', '-', 'COUNT', 1)
  local stands = last[1] and last[1][1] or '0-0'
  if stands ~= string.format('%d-0', part.seq) then return {'TORN', part.incident, stands} end
end
if batch.epoch >= 0 then
  local now = tonumber(redis.call('HGET', epochs, incident) or '0')
  local due = now
  if batch.raises_epoch then due = now + 1 end
  if batch.epoch ~= due then return {'FENCED', tostring(now)} end
end
if batch.opens and batch.pair ~= '' then
  local by = redis.call('HGET', pairs, batch.pair)
  if by and by ~= batch.pair_from then return {'BUSY', by} end
end
for _, hold in ipairs(batch.take) do
  local by = redis.call('HGET', holds, hold)
  if by and by ~= incident then return {'HELD', hold, by} end
end

local line = 2
for number, part in ipairs(batch.parts) do
  for offset = 1, part.count do
    redis.call('XADD', KEYS[6 + number], string.format('%d-0', part.seq + offset), 'l', ARGV[line])
    line = line + 1
  end
end
for _, part in ipairs(batch.parts) do
  local seq = string.format('%d', part.seq + part.count)
  redis.call('HSET', heads, part.incident, seq .. ' ' .. part.new_h)
  redis.call('XADD', bells, 'MAXLEN', '~', batch.bells_kept, '*', 'i', part.incident, 's', seq)
end
if batch.epoch >= 0 then redis.call('HSET', epochs, incident, string.format('%d', batch.epoch)) end
if batch.opens then
  redis.call('HSET', open, incident, '1')
  if batch.pair ~= '' then redis.call('HSET', pairs, batch.pair, incident) end
end
for _, hold in ipairs(batch.take) do redis.call('HSET', holds, hold, incident) end
for _, hold in ipairs(batch.give) do
  if redis.call('HGET', holds, hold) == incident then redis.call('HDEL', holds, hold) end
end
local function let_go(key, ended)
  local all = redis.call('HGETALL', key)
  for at = 1, #all, 2 do
    if all[at + 1] == ended then redis.call('HDEL', key, all[at]) end
  end
end
for _, ended in ipairs(batch.closes) do
  redis.call('HDEL', open, ended)
  let_go(pairs, ended)
  let_go(holds, ended)
end
return {'STORED'}
