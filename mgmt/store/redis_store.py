"""The store's verbs on Redis. Every change of an input goes through `write`; ownership through `claim` and `lease`.

It keeps only the epoch it is attached to. Whoever calls decides what to do when Redis is away or has changed.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Iterable, Mapping
from secrets import token_hex
from typing import Any

import msgspec

from fingerpost.objects import ObjectKey
from mgmt.store import layout, scripts
from mgmt.store.client import Client, Script, Value
from mgmt.store.errors import StoreChanged, StoreMisconfigured, StoreUnavailable
from mgmt.store.settings import StoreSettings
from mgmt.store.values import (
    Attached,
    Entry,
    Epoch,
    Fence,
    Group,
    Loaded,
    Source,
    Stored,
    StoreStatus,
    WriteResult,
)

_ATTACH, _WRITE, _CLAIM = Script(scripts.ATTACH), Script(scripts.WRITE), Script(scripts.CLAIM)
_LEASE, _RELEASE, _RAISE = Script(scripts.LEASE), Script(scripts.RELEASE), Script(scripts.RAISE)
_HASHES, _SUCCEED, _PRESENT = Script(scripts.HASHES), Script(scripts.SUCCEED), Script(scripts.PRESENT)
_SETS_A_TRIP = 50
_TAIL_COUNT = 5000
_TOLD_MAX = 1000  # batches about arrival that are kept
_batch = msgspec.json.Decoder(dict[str, str | None])
_BULK_TIMEOUT = 60.0  # of reading everything
_BYTES_A_SECOND = 20_000_000  # a slow Redis; makes the patience with a write follow its size


OLDEST = (6, 2)  # the oldest that this is tested with


def is_too_old(version: str) -> bool:
    """What is no number is not judged: relatives of Redis have versions of their own."""
    found = re.match(r"(\d+)\.(\d+)", version)
    return found is not None and (int(found[1]), int(found[2])) < OLDEST


class RedisStore:
    """One per replica. `replica` must be new at every start of the process. `stands_in`: it cannot read what exclusive
    sources are about, and gives them up to one that can.
    """

    def __init__(self, settings: StoreSettings, replica: str, *, stands_in: bool = False) -> None:
        self.replica, self.stands_in = replica, stands_in
        self._settings = settings
        self._client = Client(settings)
        self._epoch = Epoch("")

    @property
    def where(self) -> str:
        return self._client.where

    async def attach(self, at_least: int) -> Attached:
        """Agree on the epoch. `at_least`: the highest seq this replica has seen.

        A Redis that is behind it gets a new epoch.
        """
        await self._check_version()
        schema = await self._client.run("GET", layout.SCHEMA)
        if schema is None:
            await self._client.run("SET", layout.SCHEMA, layout.LAYOUT, "NX")
        elif schema != str(layout.LAYOUT).encode():
            found = schema.decode(errors="replace")
            raise StoreMisconfigured(
                f"redis at {self.where}: the layout is {found}, this version knows {layout.LAYOUT}; "
                "upgrade the server or use another database"
            )
        epoch, seq = await self._client.script(_ATTACH, token_hex(8), at_least)
        self._epoch = Epoch(epoch.decode())
        return Attached(self._epoch, int(seq))

    async def _check_version(self) -> None:
        try:
            told = await self._client.run("INFO", "server")
        except StoreMisconfigured:
            return  # a user who may not ask; what is needed and not allowed will say so itself
        version = told.get("redis_version", "")
        if is_too_old(str(version)):
            oldest = ".".join(map(str, OLDEST))
            raise StoreMisconfigured(
                f"redis at {self._client.where} is of version {version}, {oldest} or newer is needed; upgrade it or "
                "name another one in redis_url"
            )

    async def load(self) -> Loaded:
        """Read everything. What does not fit its hash is left out."""
        seq = int(await self._client.run("GET", layout.SEQ) or 0)
        inputs: dict[ObjectKey, Stored] = {}
        corrupt: list[ObjectKey] = []
        async for set_, fields in self._sets():
            for field, value in fields:
                key, stored = layout.key_from(set_, field), layout.checked(value)
                if stored is None:
                    corrupt.append(key)
                else:
                    inputs[key] = stored
        return Loaded(seq, inputs, tuple(corrupt))

    async def _sets(self) -> AsyncIterator[tuple[bytes, list[tuple[bytes, bytes]]]]:
        names: list[bytes] = sorted(await self._client.run("HKEYS", layout.SETS))
        for i in range(0, len(names), _SETS_A_TRIP):
            some = names[i : i + _SETS_A_TRIP]
            commands: list[tuple[Value, ...]] = [("HGETALL", layout.inputs_of(name)) for name in some]
            for name, fields in zip(some, await self._client.many(commands, _BULK_TIMEOUT), strict=True):
                yield name, list(fields.items())

    async def hashes(self, cluster: str | None = None) -> dict[ObjectKey, bytes]:
        """Key -> content hash, without the bodies; of everything, or of one cluster."""
        names: list[bytes] = sorted(await self._client.run("HKEYS", layout.SETS))
        if cluster is not None:
            names = [name for name in names if name.startswith(layout.set_of(cluster, ""))]
        out: dict[ObjectKey, bytes] = {}
        for name in names:
            flat = await self._client.script(_HASHES, name, timeout=_BULK_TIMEOUT)
            for i in range(0, len(flat), 2):
                out[layout.key_from(name, flat[i])] = flat[i + 1]
        return out

    async def fetch(self, keys: Iterable[ObjectKey]) -> dict[ObjectKey, Stored | None]:
        """What Redis holds of these keys now; None: nothing, or nothing that fits its hash."""
        wanted = list(keys)
        out: dict[ObjectKey, Stored | None] = {}
        for i in range(0, len(wanted), 1000):
            some = wanted[i : i + 1000]
            commands: list[tuple[Value, ...]] = [
                ("HGET", layout.inputs_of(layout.set_of(k.cluster, k.type)), layout.field_of(k.namespace, k.name))
                for k in some
            ]
            for key, value in zip(some, await self._client.many(commands, _BULK_TIMEOUT), strict=True):
                out[key] = layout.checked(value) if value is not None else None
        return out

    async def write(self, groups: tuple[Group, ...], known: int) -> WriteResult:
        """One Lua call. Without groups it only brings what was missed since `known`."""
        arguments: list[Value] = [self._epoch, known, self.replica, self._settings.stream_max]
        size = 0
        for group in groups:
            arguments += (group.source, group.fence.token if group.fence else b"", _mode(group), len(group.writes))
            for key, stored, origin in group.writes:
                value = stored.hash + stored.body if stored is not None else b""
                size += len(value)
                arguments += (
                    layout.set_of(key.cluster, key.type),
                    layout.field_of(key.namespace, key.name),
                    value,
                    origin,
                )
        patience = self._settings.write_timeout + size / _BYTES_A_SECOND
        seq, gap, refused, dropped, missed = await self._client.written(_WRITE, *arguments, timeout=patience)
        return WriteResult(
            seq=int(seq),
            missed=tuple(_entries(dropped, missed)),
            gap=bool(gap),
            refused=frozenset(Source(r.decode()) for r in refused),
        )

    async def claim(self, source: Source) -> Fence:
        """The newest claim wins. Be in step with what is written by now before you use it."""
        token, _ = await self._client.script(_CLAIM, self._epoch, source, self.replica, b"")
        return Fence(source, token)

    async def reclaim(self, fence: Fence) -> Fence | None:
        """Claim again after an outage; None when another one has claimed since."""
        token, _ = await self._client.script(_CLAIM, self._epoch, fence.source, self.replica, fence.token)
        return Fence(fence.source, token) if token else None

    async def lease(self, source: Source, ttl: float) -> Fence | None:
        """An exclusive claim for `ttl` seconds; call again to renew. None while another replica holds it."""
        stands_in = b"1" if self.stands_in else b""
        token, _ = await self._client.script(_LEASE, self._epoch, source, self.replica, int(ttl * 1000), stands_in)
        return Fence(source, token) if token else None

    async def succeed(self, source: Source) -> None:
        """For a replica that starts: its predecessor of the same name is gone, so that one's lease need not run out."""
        await self._client.script(_SUCCEED, source, self.replica)

    async def release(self, source: Source) -> None:
        await self._client.script(_RELEASE, source, self.replica)

    async def raise_seq(self, at_least: int) -> int:
        """An agent has seen a higher number than ours: Redis has lost its memory some time ago."""
        return int(await self._client.script(_RAISE, self._epoch, at_least, self.replica))

    async def tail(self, after: int) -> AsyncGenerator[int, None]:
        """The seq of each batch of changes that other replicas wrote.

        Raises StoreUnavailable or StoreChanged, never just ends.
        """
        cursor = f"{after}-0"
        while True:
            cursor, entries = await self._read_on(layout.STREAM, cursor, _TAIL_COUNT)
            if any(_replica_of(fields) != self.replica for fields in entries):
                yield int(cursor.partition("-")[0])

    async def _read_on(self, stream: str, cursor: str, most: int) -> tuple[str, list[Any]]:
        """Waits for entries after `cursor`. Raises StoreUnavailable or StoreChanged."""
        block = self._settings.block
        while True:
            answer = await self._client.run(
                *("XREAD", "COUNT", most, "BLOCK", int(block * 1000), "STREAMS", stream, cursor),
                timeout=block + self._settings.read_timeout,
            )
            if answer:
                entries = answer[0][1]
                return entries[-1][0].decode(), [fields for _, fields in entries]
            if await self._client.run("GET", layout.EPOCH) != self._epoch.encode():
                raise StoreChanged(f"redis at {self.where} has lost or changed its memory")

    async def tell(self, fields: Mapping[str, bytes | None]) -> None:
        """What this replica says of its gateways, to all; None: nothing more."""
        there: list[Value] = []
        for field, value in fields.items():
            if value is not None:
                there += (f"{self.replica}\0{field}", value)
        gone = [f"{self.replica}\0{field}" for field, value in fields.items() if value is None]
        batch = msgspec.json.encode(
            {field: value.decode() if value is not None else None for field, value in fields.items()}
        )
        commands: list[tuple[Value, ...]] = [
            *([("HSET", layout.ARRIVAL, *there)] if there else []),
            *([("HDEL", layout.ARRIVAL, *gone)] if gone else []),
            ("XADD", layout.TOLD, "MAXLEN", "~", _TOLD_MAX, "*", "r", self.replica, "b", batch),
        ]
        await self._client.many(commands, self._settings.read_timeout)

    async def hear(self) -> AsyncGenerator[dict[str, dict[str, bytes | None]], None]:
        """Replica -> changed fields: all that is there, then what comes. Raises StoreUnavailable or StoreChanged."""
        while True:
            last = await self._client.run("XREVRANGE", layout.TOLD, "+", "-", "COUNT", 1)
            cursor = last[0][0].decode() if last else "0-0"
            yield await self._all_told()
            while True:
                cursor, entries = await self._read_on(layout.TOLD, cursor, _TOLD_MAX // 2)
                for fields in entries:
                    if (replica := _replica_of(fields)) != self.replica:
                        batch = _batch.decode(fields[b"b"])
                        yield {
                            replica: {
                                name: value.encode() if value is not None else None for name, value in batch.items()
                            }
                        }
                if len(entries) == _TOLD_MAX // 2:
                    break  # so far behind that something may have left the stream

    async def _all_told(self) -> dict[str, dict[str, bytes | None]]:
        """Without the others of the name of this replica, and without those that are gone: these are forgotten."""
        found: dict[str, dict[str, bytes | None]] = {}
        for name, value in (await self._client.run("HGETALL", layout.ARRIVAL)).items():
            replica, _, field = name.decode().partition("\0")
            found.setdefault(replica, {})[field] = value
        found.pop(self.replica, None)
        dead = found.keys() - await self.beating(found.keys())
        gone = [f"{replica}\0{field}" for replica in dead for field in found.pop(replica)]
        if gone:
            await self._client.run("HDEL", layout.ARRIVAL, *gone)
        return found

    async def ask_listing(self, cluster: str) -> int:
        """The number of this question."""
        return int(await self._client.run("HINCRBY", layout.ASKED, cluster, 1))

    async def answer_listing(self, cluster: str, number: int) -> None:
        await self._client.run("HSET", layout.ANSWERED, cluster, number)

    async def listings(self) -> tuple[Mapping[str, int], Mapping[str, int]]:
        """By cluster: the last question, the last one that was answered."""
        commands: list[tuple[Value, ...]] = [("HGETALL", layout.ASKED), ("HGETALL", layout.ANSWERED)]
        asked, answered = await self._client.many(commands, self._settings.read_timeout)
        return {c.decode(): int(n) for c, n in asked.items()}, {c.decode(): int(n) for c, n in answered.items()}

    async def beat(self, ttl: float) -> None:
        """This replica runs."""
        await self._client.run("SET", layout.alive_of(self.replica), 1, "PX", int(ttl * 1000))

    async def present(self, ttl: float, *, serving: bool) -> int:
        """This replica serves agents for the next `ttl` seconds, or no longer. The answer: how many do."""
        return int(await self._client.script(_PRESENT, self.replica, int(ttl * 1000) if serving else 0))

    async def beating(self, replicas: Collection[str]) -> frozenset[str]:
        """Those of `replicas` that have said so within their ttl."""
        names = sorted(replicas)
        commands: list[tuple[Value, ...]] = [("EXISTS", layout.alive_of(name)) for name in names]
        answers = await self._client.many(commands, self._settings.read_timeout) if commands else []
        return frozenset(name for name, there in zip(names, answers, strict=True) if there)

    async def status(self) -> StoreStatus:
        persistence = await self._client.run("INFO", "persistence")
        memory = await self._client.run("INFO", "memory")
        return StoreStatus(
            eviction_policy=str(memory.get("maxmemory_policy", "")), append_only=bool(persistence.get("aof_enabled"))
        )

    async def close(self) -> None:
        try:
            await self._client.close()
        except StoreUnavailable:
            return  # the other end is gone already


def _mode(group: Group) -> str:
    if group.purge:
        return "p"
    if group.restore:
        return "o" if group.outdo else "r"
    return "f" if group.fence is not None else "u"


def _entries(dropped: list[bytes], missed: list[bytes]) -> Iterable[Entry]:
    for set_ in dropped:
        yield Entry(layout.key_from(set_, b""), None)
    for i in range(0, len(missed), 4):
        set_, field, value, origin = missed[i : i + 4]
        yield Entry(layout.key_from(set_, field), layout.stored_from(value), origin.decode())


def _replica_of(fields: Any) -> str:
    # the client makes a dict of an entry's fields
    return str(fields[b"r"].decode())
