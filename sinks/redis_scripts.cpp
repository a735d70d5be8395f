#include "sinks/redis_scripts.hpp"

namespace walcast::redis_scripts {

const char* const take_over = R"(
-- Redis does not roll back, so what a batch needs must be allowed before the first one. From Redis 7.
if redis.acl_check_cmd then
  local log, control = ARGV[2] .. 'log:probe', ARGV[2] .. 'control'
  for _, command in ipairs({{'HSET', KEYS[1], 'owner', ''}, {'HGETALL', KEYS[1]}, {'HMGET', KEYS[1], 'owner'},
      {'HDEL', KEYS[1], 'xid'}, {'XADD', log, '1-0', 'm', ''}, {'XADD', control, '1-0', 'm', ''},
      {'XRANGE', log, '-', '+'}, {'XREVRANGE', log, '+', '-'}, {'XLEN', control}, {'XTRIM', control, 'MAXLEN', '1'},
      {'XADD', ARGV[2] .. 'dead-letters', '*', 'm', ''}, {'TYPE', ARGV[2] .. 'dead-letters'}, {'DEL', log},
      {'ZSCORE', ARGV[2] .. 'channels', 'x'}, {'ZADD', ARGV[2] .. 'channels', '1', 'x'}, {'ZREM', ARGV[2] .. 'channels', 'x'},
      {'ZRANGE', ARGV[2] .. 'channels', '0', '1'}, {'ZRANGEBYSCORE', ARGV[2] .. 'channels', '0', '1'},
      {'ZUNIONSTORE', ARGV[2] .. 'channels:resetting', '1', ARGV[2] .. 'channels'}, {'TIME'},
      {'TYPE', log}, {'HGET', KEYS[1], 'owner'}, {'ZCARD', ARGV[2] .. 'channels'},
      {'PUBLISH', control, ''}, {'SET', ARGV[2] .. 'receipt:probe', '', 'EX', '1'},
      {'PUBLISH', ARGV[2] .. 'receipt:probe', ''}}) do
    if not redis.acl_check_cmd(unpack(command)) then
      return redis.error_reply('NOPERM this user may not ' .. command[1] .. ' ' .. (command[2] or ''))
    end
  end
  if ARGV[3] == 'WAIT' and not redis.acl_check_cmd('WAIT', '1', '1') then
    return redis.error_reply('NOPERM this user may not WAIT, which wait_replicas needs')
  end
end
local kind = redis.call('TYPE', ARGV[2] .. 'channels').ok
if kind ~= 'zset' and kind ~= 'none' then
  return redis.error_reply('CHANNEL ' .. ARGV[2] .. 'channels is a ' .. kind .. ', not the sorted set of channels')
end
if ARGV[1] == '' then return redis.status_reply('OK') end
redis.call('HSET', KEYS[1], 'owner', ARGV[1])
-- Without the index (evicted, deleted by hand) nobody knows which histories are gone: none is taken for whole.
local now = redis.call('HMGET', KEYS[1], 'sync_id', 'floor')
if kind == 'none' and now[1] and tonumber(now[1]) > tonumber(now[2] or '0') then
  redis.call('HSET', KEYS[1], 'floor', now[1])
end
return redis.call('HGETALL', KEYS[1])
)";

const char* const adopt = R"(
local owner = redis.call('HGET', KEYS[1], 'owner')
if not owner then return redis.error_reply('POSITION ' .. KEYS[1] .. ' is gone') end
if owner ~= ARGV[1] then return redis.error_reply('FENCED ' .. owner .. ' owns ' .. KEYS[1]) end
for i = 3, #ARGV, 2 do
  -- With other options, or of other publications, another transaction may be the last one.
  if ARGV[i] == 'fingerprint' and redis.call('HGET', KEYS[1], 'fingerprint') ~= ARGV[i + 1] then
    redis.call('HDEL', KEYS[1], 'last_transaction')
  end
  redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1])
end
local now = redis.call('HMGET', KEYS[1], 'epoch', 'sync_id', 'floor')
-- Nothing was told on control since its last entry: else every subscriber would see a hole at each start.
local top = redis.pcall('XREVRANGE', KEYS[2], '+', '-', 'COUNT', 1)
local previous = not top.err and top[1] and string.match(top[1][1], '^%d+') or now[3] or now[2]
redis.call('PUBLISH', KEYS[2], '{"type":"agent","epoch":"' .. now[1] .. '","prevSyncId":' .. previous ..
  ',"lastSyncId":' .. now[2] .. ',"state":"' .. ARGV[2] .. '"}')
return redis.status_reply('OK')
)";

const char* const first_position = R"(
if redis.call('HEXISTS', KEYS[1], 'epoch') == 1 then return 0 end
for i = 1, #ARGV, 2 do redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1]) end
return 1
)";

const char* const commit = R"(
local call, pcall = redis.call, redis.pcall
local position, index, control = KEYS[1], KEYS[2], KEYS[3]
local now = call('HMGET', position, 'owner', 'sync_id', 'lsn', 'commit_lsn', 'xid', 'changes', 'hash', 'floor')
if not now[1] then return redis.error_reply('POSITION ' .. position .. ' is gone') end
if now[1] ~= ARGV[1] then
  return redis.error_reply('FENCED ' .. now[1] .. ' owns ' .. position)
end
for i = 2, 7 do
  if (now[i] or '') ~= ARGV[i] then
    return redis.error_reply('POSITION ' .. position .. ' is at ' .. (now[2] or 'none') .. ' ' ..
      (now[3] or '') .. ', expected ' .. ARGV[2] .. ' ' .. ARGV[3])
  end
end
local acl = redis.acl_check_cmd

-- What is permitted may have changed since the start.
local function may_not(...)
  if acl and not acl(...) then
    local command = {...}
    return redis.error_reply('NOPERM this user may not ' .. command[1] .. ' ' .. (command[2] or ''))
  end
end

local function refused(name, why)
  return redis.error_reply('CHANNEL ' .. name .. ': ' .. why)
end

local is_quiet = ARGV[20] ~= ''
local function forbidden(key, name)
  if acl and not (acl('XADD', key, '1-0', 'm', '') and (is_quiet or acl('PUBLISH', name, ''))) then
    return redis.error_reply('NOPERM this user may not XADD ' .. key .. ' or PUBLISH on channel ' .. name)
  end
end

-- One message for a channel that is remembered and nothing else to write, as on a quiet stream, where latency counts and each
-- call costs 5 to 10 us, since caches are cold: its XADD is the first write, so what can fail shows there.
local is_single = #ARGV == 27 and ARGV[15] == '1' and ARGV[18] == '0' and ARGV[23] ~= '' and ARGV[24] == '0' and ARGV[25] == '1' and ARGV[26] ~= ''
if is_single and ARGV[10] == '' and ARGV[16] == '' and ARGV[20] == '' and ARGV[21] == '' and not now[4] then
  local key, name, id, message = KEYS[4], ARGV[22], ARGV[26] .. '-0', ARGV[27]
  local failure = may_not('HSET', position, 'lsn', '') or forbidden(key, name)
  if failure then return failure end
  local added = pcall('XADD', key, 'MAXLEN', '~', ARGV[14], id, 'm', message)
  if added.err then
    if string.find(added.err, '^WRONGTYPE') then return refused(name, 'XADD: ' .. added.err) end
    if string.find(added.err, 'smaller', 1, true) then return refused(name, 'its history ends above ' .. id .. ': who wrote it?') end
    return added
  end
  call('PUBLISH', name, message)
  call('HSET', position, 'sync_id', ARGV[8], 'lsn', ARGV[9], 'last_transaction', ARGV[17])
  return redis.status_reply('OK')
end

for _, command in ipairs({{'HSET', position, 'lsn', ''}, {'HDEL', position, 'xid'}, {'ZADD', index, '1', 'x'},
    {'ZSCORE', index, 'x'}, {'TIME'}, {'XLEN', control}, {'XRANGE', control, '-', '+'}, {'XTRIM', control, 'MAXLEN', '1'}}) do
  local failure = may_not(unpack(command))
  if failure then return failure end
end

local floor = now[8] or '0'
local length, count = ARGV[14], tonumber(ARGV[15])
local names, blanks = {[0] = control}, {}
local kind = call('TYPE', index).ok
if kind ~= 'zset' and kind ~= 'none' then
  return redis.error_reply('CHANNEL ' .. index .. ' is a ' .. kind .. ', not the sorted set of channels')
end

-- What is remembered was in the index.
local index_is_lost = false
if kind == 'none' then
  for i = 23, 20 + 3 * count, 3 do index_is_lost = index_is_lost or ARGV[i] ~= '' end
end
if index_is_lost then floor = ARGV[2] end

-- The last id of a history that is not remembered, or floor. One that the index knows and that is gone (evicted, deleted by
-- hand) may have held anything up to the position.
local function look_up(key, name)
  local top = pcall('XREVRANGE', key, '+', '-', 'COUNT', 1)
  if top.err then return nil, refused(name, 'XREVRANGE ' .. key .. ': ' .. top.err) end
  local is_lost = not top[1] and call('ZSCORE', index, name)
  local last = top[1] and string.match(top[1][1], '^%d+') or is_lost and ARGV[2] or floor
  if tonumber(last) > tonumber(ARGV[2]) then
    return nil, refused(name, key .. ' holds ' .. last .. ', which is above the position: who wrote it?')
  end
  return last
end

local at = 22
for channel = 1, count do
  local name, last = ARGV[at], ARGV[at + 1]
  names[channel] = name
  local failure = forbidden(KEYS[3 + channel], name)
  if failure then return failure end
  if last == '' then
    local found, failure = look_up(KEYS[3 + channel], name)
    if failure then return failure end
    blanks[channel] = found
  else
    local newer = pcall('XRANGE', KEYS[3 + channel], '(' .. last .. '-0', '+', 'COUNT', 1)
    if newer.err then return refused(name, 'XRANGE: ' .. newer.err) end
    if newer[1] then return refused(name, 'its history holds ' .. newer[1][1] .. ': who wrote it?') end
  end
  at = at + 3
end
local messages, receipts = at, #ARGV - 2 * tonumber(ARGV[18]) + 1
local touches_control, has_dead_letters = false, false
local dead_letters = string.sub(control, 1, -8) .. 'dead-letters'
for i = messages, receipts - 1, 3 do
  if ARGV[i] == '0' then touches_control = true end
  if ARGV[i] == 'dead letter' then has_dead_letters = true end
  local failure = (ARGV[i] == 'publish' or ARGV[i] == 'again') and may_not('PUBLISH', ARGV[i + 1], '')
  if failure then return failure end
end
if has_dead_letters then
  local kind = call('TYPE', dead_letters).ok
  if kind ~= 'stream' and kind ~= 'none' then
    return redis.error_reply('CHANNEL ' .. dead_letters .. ' is a ' .. kind .. ', not a stream')
  end
  if acl and not acl('XADD', dead_letters, '*', 'm', '') then
    return redis.error_reply('NOPERM this user may not XADD ' .. dead_letters)
  end
end
if touches_control then
  local found, failure = look_up(control, control)
  failure = failure or forbidden(control, control)
  if failure then return failure end
  blanks[0] = found
end
local receipt_key = string.sub(control, 1, -8) .. 'receipt:'
for i = receipts, #ARGV, 2 do
  local key = receipt_key .. ARGV[i]
  local failure = may_not('SET', key, '', 'EX', '1') or may_not('PUBLISH', key, '')
  if failure then return failure end
end

-- From here on writes.
local function set_aside(id, letter)
  local name, lsn, xid, reason, raw = string.match(letter, '^([^\n]*)\n([^\n]*)\n([^\n]*)\n([^\n]*)\n(.*)$')
  call('XADD', dead_letters, 'MAXLEN', '~', '10000', '*', 'sync_id', id, 'table', name, 'lsn', lsn, 'xid', xid,
    'reason', reason, 'raw', raw)
end

local published
local function publish(channel, i, message)
  local previous = blanks[channel]
  if previous then
    local _, open = string.find(message, '"prevSyncId":', 1, true)
    message = string.sub(message, 1, open) .. previous .. string.sub(message, open + 1)
    if ARGV[i + 1] ~= '' then blanks[channel] = channel == 0 and ARGV[i + 1] or nil end
  end
  published = message
  -- Progress is no part of the history.
  if ARGV[i + 1] == '' then
    if not is_quiet then call('PUBLISH', names[channel], message) end
    return
  end
  if channel == 0 then
    call('XADD', control, ARGV[i + 1] .. '-0', 'm', message)
  else
    call('XADD', KEYS[3 + channel], 'MAXLEN', '~', length, ARGV[i + 1] .. '-0', 'm', message)
  end
  if channel == 0 or not is_quiet then call('PUBLISH', names[channel], message) end
end

for i = messages, receipts - 1, 3 do
  if ARGV[i] == 'dead letter' then
    set_aside(ARGV[i + 1], ARGV[i + 2])
  elseif ARGV[i] == 'publish' then
    call('PUBLISH', ARGV[i + 1], ARGV[i + 2])
  elseif ARGV[i] == 'again' then
    call('PUBLISH', ARGV[i + 1], published)
  else
    publish(tonumber(ARGV[i]), i, ARGV[i + 2])
  end
end
if index_is_lost then call('HSET', position, 'floor', floor) end
if touches_control then
  local excess = call('XLEN', control) - tonumber(length)
  if excess > 0 then
    local oldest = call('XRANGE', control, '-', '+', 'COUNT', excess)
    local top = string.match(oldest[excess][1], '^%d+')
    call('XTRIM', control, 'MAXLEN', length)
    if tonumber(top) > tonumber(floor) then call('HSET', position, 'floor', top) end
  end
end
for i = receipts, #ARGV, 2 do
  local key = receipt_key .. ARGV[i]
  call('SET', key, ARGV[i + 1], 'EX', ARGV[19])
  call('PUBLISH', key, ARGV[i + 1])
end
at = 22
local time
for channel = 1, count do
  if ARGV[at + 2] == '1' then
    time = time or call('TIME')[1]
    call('ZADD', index, time, names[channel])
  end
  at = at + 3
end
call('HSET', position, 'sync_id', ARGV[8], 'lsn', ARGV[9], 'last_transaction', ARGV[17])
if ARGV[16] ~= '' then call('HSET', position, 'rules', ARGV[16]) end
if ARGV[21] ~= '' then call('HSET', position, 'clock', ARGV[21]) end
if ARGV[10] ~= '' then
  call('HSET', position, 'commit_lsn', ARGV[10], 'xid', ARGV[11], 'changes', ARGV[12], 'hash', ARGV[13])
elseif now[4] then
  call('HDEL', position, 'commit_lsn', 'xid', 'changes', 'hash')
end
return redis.status_reply('OK')
)";

const char* const begin_epoch = R"(
local owner = redis.call('HGET', KEYS[1], 'owner')
if not owner then return redis.error_reply('POSITION ' .. KEYS[1] .. ' is gone') end
if owner ~= ARGV[1] then return redis.error_reply('FENCED ' .. owner .. ' owns ' .. KEYS[1]) end
redis.call('ZUNIONSTORE', KEYS[3], 2, KEYS[2], KEYS[3], 'AGGREGATE', 'MAX')
for i = 2, #ARGV, 2 do redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1]) end
redis.call('HDEL', KEYS[1], 'commit_lsn', 'xid', 'changes', 'hash')
redis.call('DEL', KEYS[2])
return redis.status_reply('OK')
)";

const char* const newest = R"(
local largest = 0
local names = redis.call('ZRANGE', KEYS[1], ARGV[2], ARGV[3])
for _, name in ipairs(names) do
  local top = redis.pcall('XREVRANGE', ARGV[1] .. 'log:' .. name, '+', '-', 'COUNT', 1)
  if not top.err and top[1] then
    largest = math.max(largest, tonumber(string.match(top[1][1], '^%d+')))
  end
end
return {string.format('%.0f', largest), #names}
)";

const char* const reset_some = R"(
local owner = redis.call('HGET', KEYS[1], 'owner')
if not owner then return redis.error_reply('POSITION ' .. KEYS[1] .. ' is gone') end
if owner ~= ARGV[1] then return redis.error_reply('FENCED ' .. owner .. ' owns ' .. KEYS[1]) end
local names = redis.call('ZRANGE', KEYS[3], 0, tonumber(ARGV[5]) - 1)
local function begin_anew(key, name)
  redis.call('DEL', key)
  redis.call('XADD', key, ARGV[4] .. '-0', 'm', ARGV[3])
  if ARGV[6] == '' or name == KEYS[4] then redis.call('PUBLISH', name, ARGV[3]) end
end
local time = redis.call('TIME')[1]
for _, name in ipairs(names) do
  begin_anew(ARGV[2] .. 'log:' .. name, name)
  redis.call('ZADD', KEYS[2], time, name)
  redis.call('ZREM', KEYS[3], name)
end
local left = redis.call('ZCARD', KEYS[3])
if left == 0 then
  begin_anew(KEYS[4], KEYS[4])
  redis.call('HDEL', KEYS[1], 'resetting')
end
return left
)";

const char* const remove_aged = R"(
local owner = redis.call('HGET', KEYS[1], 'owner')
if not owner then return redis.error_reply('POSITION ' .. KEYS[1] .. ' is gone') end
if owner ~= ARGV[1] then return redis.error_reply('FENCED ' .. owner .. ' owns ' .. KEYS[1]) end
local oldest = tonumber(redis.call('TIME')[1]) - tonumber(ARGV[3])
local names = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', oldest, 'LIMIT', 0, ARGV[4])
local floor = tonumber(redis.call('HGET', KEYS[1], 'floor') or '0')
for _, name in ipairs(names) do
  local top = redis.pcall('XREVRANGE', ARGV[2] .. 'log:' .. name, '+', '-', 'COUNT', 1)
  local last = not top.err and top[1] and string.match(top[1][1], '^%d+') or redis.call('HGET', KEYS[1], 'sync_id')
  floor = math.max(floor, tonumber(last))
end
-- First, so that no history goes without it, whatever is refused.
if #names > 0 then redis.call('HSET', KEYS[1], 'floor', string.format('%.0f', floor)) end
for _, name in ipairs(names) do
  redis.call('DEL', ARGV[2] .. 'log:' .. name)
  redis.call('ZREM', KEYS[2], name)
end
return #names
)";

}  // namespace walcast::redis_scripts
