"""The history of inputs in Redis: what was recorded last, and for each snapshot what it took the place of.

fp:1:{fp}:hist:head     hash: "<cluster> NUL <type> NUL <namespace>/<name>" -> 32 bytes of hash + compressed JSON
fp:1:{fp}:hist:index    sorted set of the numbers of the snapshots
fp:1:{fp}:hist:log      hash: number -> compressed JSON, what the snapshot says of itself
fp:1:{fp}:hist:undo:<n> hash: key -> what was there before snapshot n; "" nothing, "?" nobody knows
fp:1:{fp}:hist:at       hash: number -> Unix milliseconds
fp:1:{fp}:hist:sizes    hash: number -> bytes of its log and undo
fp:1:{fp}:hist:total    their sum
fp:1:{fp}:hist:orders   sorted set by Unix milliseconds: JSON, each time that a rollback was begun or ended
fp:1:{fp}:hist:floor    the newest snapshot that was dropped; what was in force then is still known

Going back costs what has changed since: the state at a number is `head` with the undo of all later snapshots.
It knows nothing of what the inputs mean.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from fingerpost.objects import ObjectKey
from mgmt.store import layout
from mgmt.store.client import Client, Script, Value
from mgmt.store.errors import StoreUnavailable
from mgmt.store.layout import PREFIX
from mgmt.store.settings import StoreSettings
from mgmt.store.values import HASH, Stored

_HIST = f"{PREFIX}hist:"
_UNKNOWN = b"?"
_BULK_TIMEOUT = 60.0
_ORDERS = 1000  # of rollbacks, beside the snapshots
_COMMON = f"local P, H = '{PREFIX}', '{_HIST}'\n"

# ARGV: epoch, number, Unix milliseconds, log, oldest to keep in Unix milliseconds, most snapshots, most bytes, then per
# change: key, expected hash ("" nothing), value ("" gone), "1" when nobody knows what was there before.
# 0: the head is not what the caller thinks it is. Else the number, which is above all others.
_RECORD = Script(
    _COMMON
    + """
if redis.call('GET', P .. 'epoch') ~= ARGV[1] then return redis.error_reply('EPOCH has changed') end
for i = 8, #ARGV, 4 do
  local there = redis.call('HGET', H .. 'head', ARGV[i])
  if string.sub(there or '', 1, 32) ~= ARGV[i + 1] then return 0 end
end
local last = redis.call('ZRANGE', H .. 'index', -1, -1)[1]
local number = tonumber(ARGV[2])
if last and number <= tonumber(last) then number = tonumber(last) + 1 end
local name = string.format('%.0f', number)
local undo, size = H .. 'undo:' .. name, string.len(ARGV[4])
for i = 8, #ARGV, 4 do
  local field, value = ARGV[i], ARGV[i + 2]
  local before = redis.call('HGET', H .. 'head', field) or ''
  if ARGV[i + 3] == '1' then before = '?' end
  redis.call('HSET', undo, field, before)
  size = size + string.len(field) + string.len(before)
  if value == '' then redis.call('HDEL', H .. 'head', field) else redis.call('HSET', H .. 'head', field, value) end
end
redis.call('ZADD', H .. 'index', number, name)
redis.call('HSET', H .. 'log', name, ARGV[4])
redis.call('HSET', H .. 'at', name, ARGV[3])
redis.call('HSET', H .. 'sizes', name, size)
local total = redis.call('INCRBY', H .. 'total', size)
local oldest, most, bytes = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
while redis.call('ZCARD', H .. 'index') > 1 do
  local first = redis.call('ZRANGE', H .. 'index', 0, 0)[1]
  local at = tonumber(redis.call('HGET', H .. 'at', first) or '0')
  if redis.call('ZCARD', H .. 'index') <= most and total <= bytes and at >= oldest then break end
  total = redis.call('DECRBY', H .. 'total', redis.call('HGET', H .. 'sizes', first) or 0)
  redis.call('ZREM', H .. 'index', first)
  redis.call('HDEL', H .. 'log', first)
  redis.call('HDEL', H .. 'at', first)
  redis.call('HDEL', H .. 'sizes', first)
  redis.call('DEL', H .. 'undo:' .. first)
  redis.call('SET', H .. 'floor', first)
end
return name
"""
)

# No ARGV. Keys and hashes of the head, without the bodies.
_HEADS = Script(
    _COMMON
    + """
local out = redis.call('HGETALL', H .. 'head')
for i = 2, #out, 2 do out[i] = string.sub(out[i], 1, 32) end
return out
"""
)

# ARGV: number. Key and value of everything that was there at that number; "?": nobody knows.
_AT = Script(
    _COMMON
    + """
local state, names = {}, {}
for _, n in ipairs(redis.call('ZRANGEBYSCORE', H .. 'index', '(' .. ARGV[1], '+inf')) do
  local undo = redis.call('HGETALL', H .. 'undo:' .. n)
  for i = 1, #undo, 2 do
    if state[undo[i]] == nil then state[undo[i]] = undo[i + 1]; names[#names + 1] = undo[i] end
  end
end
local head, out = redis.call('HGETALL', H .. 'head'), {}
for i = 1, #head, 2 do
  if state[head[i]] == nil then out[#out + 1] = head[i]; out[#out + 1] = head[i + 1] end
end
for _, field in ipairs(names) do
  if state[field] ~= '' then out[#out + 1] = field; out[#out + 1] = state[field] end
end
return out
"""
)


class Change(NamedTuple):
    """`before` and `after` None: it was not there, it is not there. `unknown`: what was there before is not known."""

    key: ObjectKey
    before: bytes | None  # hash
    after: Stored | None
    unknown: bool = False


class Limits(NamedTuple):
    oldest_unix_millis: int
    snapshots: int
    bytes: int


class Range(NamedTuple):
    """The snapshots there are, oldest first. What was in force at `floor` is known too; 0: nothing was dropped yet."""

    floor: int
    numbers: tuple[int, ...]


class State(NamedTuple):
    """What was there at a number. `unknown` objects are there now, and were perhaps there then."""

    objects: Mapping[ObjectKey, bytes]
    unknown: frozenset[ObjectKey]


class HistoryStore:
    """Of one replica. Raises StoreError; nothing is retried."""

    def __init__(self, settings: StoreSettings) -> None:
        self._client = Client(settings)

    async def epoch(self) -> bytes:
        found = await self._client.run("GET", layout.EPOCH)
        if not found:
            raise StoreUnavailable(f"redis at {self._client.where} has no inputs yet")
        return bytes(found)

    async def heads(self) -> dict[ObjectKey, bytes]:
        """Key -> hash of everything as it was recorded last."""
        flat = await self._client.script(_HEADS, timeout=_BULK_TIMEOUT)
        return {_key(flat[i]): flat[i + 1] for i in range(0, len(flat), 2)}

    async def record(
        self,
        epoch: bytes,
        number: int,
        at_unix_millis: int,
        log: Mapping[str, Any],
        changes: Sequence[Change],
        limits: Limits,
    ) -> int:
        """The number that the snapshot got; 0 when somebody else has recorded meanwhile, and nothing was written."""
        told = zlib.compress(msgspec.json.encode(log))
        head: tuple[Value, ...] = (epoch, number, at_unix_millis, told, *limits)
        arguments: list[Value] = []
        for change in changes:
            arguments += (_field(change.key), change.before or b"", _value(change.after), int(change.unknown))
        answer = await self._client.script(_RECORD, *head, *arguments, timeout=_BULK_TIMEOUT)
        return int(answer)

    async def range(self) -> Range:
        floor, numbers = await self._client.many(
            [("GET", f"{_HIST}floor"), ("ZRANGE", f"{_HIST}index", 0, -1)], _BULK_TIMEOUT
        )
        return Range(int(floor or 0), tuple(int(n) for n in numbers))

    async def logs(self, numbers: Iterable[int]) -> dict[int, dict[str, Any]]:
        wanted = list(numbers)
        if not wanted:
            return {}
        found = await self._client.run("HMGET", f"{_HIST}log", *wanted, timeout=_BULK_TIMEOUT)
        return {n: msgspec.json.decode(zlib.decompress(b)) for n, b in zip(wanted, found, strict=True) if b is not None}

    async def order(self, at_unix_millis: int, told: Mapping[str, Any], oldest_unix_millis: int) -> None:
        """A second time is no other order."""
        key, member = f"{_HIST}orders", msgspec.json.encode(told, order="sorted")
        forget: list[tuple[Value, ...]] = [
            ("ZREMRANGEBYSCORE", key, "-inf", f"({oldest_unix_millis}"),
            ("ZREMRANGEBYRANK", key, 0, -_ORDERS - 1),
        ]
        await self._client.many([("ZADD", key, at_unix_millis, member), *forget], _BULK_TIMEOUT)

    async def orders(self) -> list[dict[str, Any]]:
        """Newest first."""
        found = await self._client.run("ZRANGE", f"{_HIST}orders", 0, -1, "REV", timeout=_BULK_TIMEOUT)
        return [msgspec.json.decode(told) for told in found]

    async def at(self, number: int) -> State:
        """Ask only for numbers of `range`, or between two of them."""
        flat = await self._client.script(_AT, number, timeout=_BULK_TIMEOUT)
        objects: dict[ObjectKey, bytes] = {}
        unknown: set[ObjectKey] = set()
        for i in range(0, len(flat), 2):
            if flat[i + 1] == _UNKNOWN:
                unknown.add(_key(flat[i]))
            else:
                objects[_key(flat[i])] = zlib.decompress(flat[i + 1][HASH:])
        return State(objects, frozenset(unknown))

    async def close(self) -> None:
        try:
            await self._client.close()
        except StoreUnavailable:
            return


def _field(key: ObjectKey) -> bytes:
    return layout.set_of(key.cluster, key.type) + b"\0" + layout.field_of(key.namespace, key.name)


def _key(field: bytes) -> ObjectKey:
    set_, _, name = field.rpartition(b"\0")
    return layout.key_from(set_, name)


def _value(stored: Stored | None) -> bytes:
    return stored.hash + zlib.compress(stored.body) if stored is not None else b""
