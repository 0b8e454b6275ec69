-- One request of a key and of its account, by GCRA as in limits.py, with this server's clock. Times are microseconds.
-- KEYS: the key's time stamp, the account's. ARGV: step and capacity of the key, then of the account; ROUNDING.
-- Answers "PASSED KEY_OWES ACCOUNT_OWES"; PASSED is 1 or 0, and a refused request changes nothing.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local stamps = redis.call('MGET', KEYS[1], KEYS[2])
local owes, passed = {}, 1
for each = 1, 2 do
  local step, capacity = tonumber(ARGV[2 * each - 1]), tonumber(ARGV[2 * each])
  owes[each] = math.min(math.max(tonumber(stamps[each] or 0) - now, 0), capacity)
  if capacity - owes[each] < step * (1 - ARGV[5]) then
    passed = 0
  end
end
if passed == 1 then
  for each = 1, 2 do
    owes[each] = owes[each] + ARGV[2 * each - 1]
    redis.call('SET', KEYS[each], string.format('%.17g', now + owes[each]), 'PX', math.ceil(owes[each] / 1000))
  end
end
return string.format('%d %.0f %.0f', passed, owes[1], owes[2])
