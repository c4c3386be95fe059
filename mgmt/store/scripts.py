"""The Lua calls. Each is atomic in Redis.

Together they are the only code that writes sequence, stream, inputs and fences.
"""

from __future__ import annotations

from mgmt.store.layout import PREFIX

_COMMON = (
    f"local P = '{PREFIX}'\n"
    + """
local function id(n) return string.format('%.0f', n) end
local function current() return tonumber(redis.call('GET', P .. 'seq') or '0') end
local function number(token) return tonumber(string.match(token or '', '(%d+)')) or 0 end
local function fresh(held, replica) return id(math.max(number(held), current()) + 1) .. ' ' .. replica end
"""
)

# ARGV: candidate epoch, at_least, random number. Begins a new epoch when Redis is empty or behind what the caller has
# seen stored.
ATTACH = (
    _COMMON
    + """
local epoch, seq, least = redis.call('GET', P .. 'epoch'), current(), tonumber(ARGV[2])
if not epoch or seq < least then
  epoch = ARGV[1]
  if least > seq then seq = least end
  redis.call('SET', P .. 'epoch', epoch)
  redis.call('SET', P .. 'seq', id(seq))
  redis.call('SET', P .. 'floor', id(seq))
end
return {epoch, id(seq)}
"""
)

# ARGV: epoch, known seq, replica, stream_max, then groups: source, fence token, mode, n, n x
# (set, field, value, origin).
# mode: f fenced, u unfenced, r restore, o outdo, p purge, for which the fence of the source "server" is needed.
# value "": gone.
# origin "": nobody knows. Of changes of one object that were missed together the first origin counts.
WRITE = (
    _COMMON
    + """
local epoch, seq, known = redis.call('GET', P .. 'epoch'), current(), tonumber(ARGV[2])
if epoch ~= ARGV[1] or seq < known then return redis.error_reply('EPOCH has changed') end
local replica, began = ARGV[3], seq
local missed, dropped, gap = {}, {}, 0
if seq > known then
  if known < tonumber(redis.call('GET', P .. 'floor') or '0') then
    gap = 1
  else
    local seen = {}
    for _, entry in ipairs(redis.call('XRANGE', P .. 'stream', id(known + 1) .. '-0', '+')) do
      local s, f = entry[2][2], entry[2][4]
      if f == '' then
        dropped[#dropped + 1] = s
      elseif s ~= '' and not seen[s .. '\\n' .. f] then
        seen[s .. '\\n' .. f] = true
        missed[#missed + 1] = s; missed[#missed + 1] = f
        missed[#missed + 1] = redis.call('HGET', P .. 'in:' .. s, f) or ''
        missed[#missed + 1] = entry[2][10] or ''
      end
    end
  end
end
local stream, known_sets, refused = P .. 'stream', {}, {}
local function note(s, f, h, o)
  seq = seq + 1
  if o == '' then
    redis.call('XADD', stream, id(seq) .. '-0', 's', s, 'f', f, 'h', h, 'r', replica)
  else
    redis.call('XADD', stream, id(seq) .. '-0', 's', s, 'f', f, 'h', h, 'r', replica, 'o', o)
  end
end
local i = 5
while i <= #ARGV do
  local source, token, mode, n = ARGV[i], ARGV[i + 1], ARGV[i + 2], tonumber(ARGV[i + 3])
  i = i + 4
  local held = redis.call('HGET', P .. 'fences', source)
  if mode == 'p' then held = redis.call('HGET', P .. 'fences', 'server') end
  if ((mode == 'f' or mode == 'p') and held ~= token) or (mode == 'r' and held)
      or (mode == 'o' and held and redis.call('HGET', P .. 'claimed-in', source) == epoch) then
    refused[#refused + 1] = source
  elseif mode == 'p' then
    redis.call('HSET', P .. 'fences', source, 'purged ' .. id(seq))
    redis.call('HSET', P .. 'claimed-in', source, epoch)
    local all = redis.call('HGETALL', P .. 'sets')
    for j = 1, #all, 2 do
      if all[j + 1] == source then
        redis.call('DEL', P .. 'in:' .. all[j])
        redis.call('HDEL', P .. 'sets', all[j])
        note(all[j], '', '', '')
      end
    end
  else
    for j = i, i + 4 * n - 1, 4 do
      local s, f, value, origin = ARGV[j], ARGV[j + 1], ARGV[j + 2], ARGV[j + 3]
      local key = P .. 'in:' .. s
      if value == '' then
        redis.call('HDEL', key, f)
        note(s, f, '', origin)
      elseif mode ~= 'r' or redis.call('HEXISTS', key, f) == 0 then
        if not known_sets[s] then
          redis.call('HSET', P .. 'sets', s, source)
          known_sets[s] = true
        end
        redis.call('HSET', key, f, value)
        note(s, f, string.sub(value, 1, 32), origin)
      end
    end
  end
  i = i + 4 * n
end
if seq > began then
  redis.call('SET', P .. 'seq', id(seq))
  local max = tonumber(ARGV[4])
  if redis.call('XLEN', stream) > max + max / 100 then
    redis.call('XTRIM', stream, 'MAXLEN', max)
    local first = redis.call('XRANGE', stream, '-', '+', 'COUNT', 1)[1][1]
    redis.call('SET', P .. 'floor', id(tonumber(string.match(first, '^(%d+)')) - 1))
  end
end
return {id(seq), gap, refused, dropped, missed}
"""
)

# ARGV: epoch, source, replica, expected token. Whoever claims last may write; returns the token and the seq to be in
# step with before using it. With an expected token it is a renewal: token "" when another one has claimed since.
# A claim has a higher number than all before it, also those that Redis has forgotten: what counts is the order of
# claims, not that in which replicas come back to a Redis that lost its memory. Expected "-N epoch...": unless there
# was a claim in another epoch, or after the seq N in the first of these.
CLAIM = (
    _COMMON
    + """
if redis.call('GET', P .. 'epoch') ~= ARGV[1] then return redis.error_reply('EPOCH has changed') end
local held, expected = redis.call('HGET', P .. 'fences', ARGV[2]), ARGV[4]
local free = string.sub(expected, 1, 1) == '-'
if free and held then
  local known, latest, others = string.match(expected, '^%-(%d*) ?(%S*)(.*)$')
  local claimed = redis.call('HGET', P .. 'claimed-in', ARGV[2]) or ''
  local before = claimed ~= latest and string.find(others .. ' ', ' ' .. claimed .. ' ', 1, true)
  local then_too = (claimed == latest or ARGV[1] == latest) and number(held) <= (tonumber(known) or -1)
  if claimed == '' or not (before or then_too) then return {'', id(current())} end
end
if not free and expected ~= '' and held and held ~= expected and number(held) >= number(expected) then
  return {'', id(current())}
end
local token = not free and number(expected) > 0 and expected or fresh(held, ARGV[3])
redis.call('HSET', P .. 'fences', ARGV[2], token)
redis.call('HSET', P .. 'claimed-in', ARGV[2], ARGV[1])
return {token, id(current())}
"""
)

# ARGV: epoch, source, replica, ttl in ms, "1" for one that only stands in. As CLAIM, but refused ("") while another
# replica's lease lasts, unless that one stands in and the caller does not; renews one's own.
LEASE = (
    _COMMON
    + """
if redis.call('GET', P .. 'epoch') ~= ARGV[1] then return redis.error_reply('EPOCH has changed') end
local lease = P .. 'lease:' .. ARGV[2]
local holder, old = redis.call('GET', lease), redis.call('HGET', P .. 'fences', ARGV[2]) or ''
local stands_in = P .. 'stands-in:' .. ARGV[2]
if holder and holder ~= ARGV[3] and (ARGV[5] == '1' or redis.call('GET', stands_in) ~= holder) then
  return {'', id(current())}
end
redis.call('SET', lease, ARGV[3], 'PX', ARGV[4])
if ARGV[5] == '1' then redis.call('SET', stands_in, ARGV[3], 'PX', ARGV[4]) else redis.call('DEL', stands_in) end
if holder and string.match(old, ' (.*)$') == ARGV[3] then return {old, id(current())} end
local token = fresh(old, ARGV[3])
redis.call('HSET', P .. 'fences', ARGV[2], token)
return {token, id(current())}
"""
)

# ARGV: source, replica. Ends the lease of another instance of the same name.
SUCCEED = (
    _COMMON
    + """
local function name(replica) return string.match(replica, '^(.*)/') end
local lease = P .. 'lease:' .. ARGV[1]
local holder = redis.call('GET', lease)
if holder and holder ~= ARGV[2] and name(holder) and name(holder) == name(ARGV[2]) then redis.call('DEL', lease) end
return 1
"""
)

# ARGV: source, replica.
RELEASE = (
    _COMMON
    + """
local lease = P .. 'lease:' .. ARGV[1]
if redis.call('GET', lease) == ARGV[2] then redis.call('DEL', lease) end
return 1
"""
)

# ARGV: epoch, at_least, replica. An entry without a set tells the other replicas about the new number.
RAISE = (
    _COMMON
    + """
if redis.call('GET', P .. 'epoch') ~= ARGV[1] then return redis.error_reply('EPOCH has changed') end
local seq, least = current(), tonumber(ARGV[2])
if seq < least then
  seq = least
  redis.call('XADD', P .. 'stream', id(seq) .. '-0', 's', '', 'f', '-', 'h', '', 'r', ARGV[3])
  redis.call('SET', P .. 'seq', id(seq))
end
return id(seq)
"""
)

# ARGV: replica, ttl in ms; 0: it serves no longer. How many serve.
PRESENT = (
    _COMMON
    + """
local serving, at = P .. 'serving', redis.call('TIME')
local now, ttl = at[1] * 1000 + math.floor(at[2] / 1000), tonumber(ARGV[2])
redis.call('ZREMRANGEBYSCORE', serving, '-inf', id(now))
if ttl > 0 then redis.call('ZADD', serving, id(now + ttl), ARGV[1]) else redis.call('ZREM', serving, ARGV[1]) end
return redis.call('ZCARD', serving)
"""
)

# ARGV: set. Fields and hashes without the bodies.
HASHES = (
    _COMMON
    + """
local out = redis.call('HGETALL', P .. 'in:' .. ARGV[1])
for i = 2, #out, 2 do out[i] = string.sub(out[i], 1, 32) end
return out
"""
)
