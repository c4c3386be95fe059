"""Keeps the state of every gateway as XdsConfig objects in the cluster, write-behind (relay.md §2.2, M-9).

A new pod of the agent then serves what the last one served, whether the server is there or not. Written at most every
`interval`, never on the way of a change; one object stays below what an API server takes. What others edit or delete
is written again: nobody watches these objects, so they are looked at now and then.
"""

from __future__ import annotations

import asyncio
import base64
import zlib
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from hashlib import blake2b
from typing import Any, Never

import msgspec
import structlog

from agent.apply.gateway import GatewayState, Key
from agent.apply.journal import recorded, restored
from fingerpost.cluster.protocol import ClusterFailed, NotWritten, Outputs
from fingerpost.objects import ObjectKey, canonical

log = structlog.get_logger()
TYPE = "internal.gloo.solo.io/XdsConfig"
TYPE_URL = "fingerpost.dev/GatewayState"
INTERVAL = 5.0
LOOK_AGAIN = 30.0
_PART = 600_000  # bytes; 800 kB as base64, an object stays under 900 KiB


class XdsConfigs:
    """A `Store` of the xDS side. `namespace` is the agent's own."""

    def __init__(
        self,
        outputs: Outputs,
        cluster: str,
        namespace: str,
        leads: Callable[[], bool] = lambda: True,
        interval: float = INTERVAL,
    ) -> None:
        """While `leads()` does not hold, another agent of this cluster writes; see `take_over`."""
        self._outputs, self._cluster, self._namespace, self._interval = outputs, cluster, namespace, interval
        self._leads, self._inherits = leads, False
        self._dirty: dict[str, GatewayState | None] = {}
        self._parts: dict[str, int] = {}  # objects per scope
        self._written: dict[str, bytes] = {}
        self._states: dict[str, GatewayState] = {}  # as they are now, of all that is kept
        self._there: dict[str, list[bytes]] = {}  # a digest of each object of a scope as it was when last written
        self._wake = asyncio.Event()

    def changed(self, state: GatewayState, touched: Collection[Key] | None = None) -> None:
        self._dirty[state.scope] = self._states[state.scope] = state
        self._wake.set()

    def removed(self, scope: str) -> None:
        self._dirty[scope] = None
        self._states.pop(scope, None)
        self._wake.set()

    def take_over(self) -> None:
        """This agent leads from now on: what the former leader has written meanwhile is replaced."""
        self._inherits = True
        self._wake.set()

    async def read(self) -> list[GatewayState]:
        """What was there at the last write; what does not fit together is reported and left out."""
        specs = await self._specs()
        states = []
        for scope, held in sorted(self._found(specs.values()).items()):
            state = _joined(held)
            if state is None:
                log.error("apply.state.broken", resource=f"XdsConfig of {scope}", error="its parts do not fit together")
                continue
            states.append(state)
            self._states[scope] = state
            self._there[scope] = [_digest(specs.get(_name(scope, number))) for number in range(len(held))]
        return states

    async def _specs(self) -> dict[str, dict[str, Any]]:
        """By name, of what this system keeps here."""
        found = [msgspec.json.decode(body) for body in await self._outputs.own(TYPE)]
        return {obj["metadata"]["name"]: obj.get("spec") or {} for obj in found}

    def _found(self, specs: Iterable[dict[str, Any]]) -> Mapping[str, dict[int, tuple[int, str, str]]]:
        found: defaultdict[str, dict[int, tuple[int, str, str]]] = defaultdict(dict)
        for spec in specs:
            for scope, number, parts, digest, data in _parts_of(spec):
                found[scope][number] = (parts, digest, data)
        self._parts |= {scope: max(held) + 1 for scope, held in found.items()}
        return found

    async def look_again(self) -> None:
        """What others have edited or deleted is to be written again."""
        if not self._leads():
            return
        try:
            specs = await self._specs()
        except ClusterFailed as failed:
            log.warning("apply.state.unread", resource="XdsConfigs", reason=str(failed))
            return
        for scope, wanted in self._there.items():
            names = [_name(scope, number) for number in range(len(wanted))]
            touched = [name for name, digest in zip(names, wanted, strict=True) if _digest(specs.get(name)) != digest]
            if touched and (state := self._states.get(scope)) is not None:
                log.warning("apply.object.undone", resource=", ".join(f"XdsConfig {name}" for name in touched))
                self._written.pop(scope, None)
                self._dirty.setdefault(scope, state)
                self._wake.set()

    async def run(self) -> Never:
        clock = asyncio.get_running_loop().time
        due = clock() + LOOK_AGAIN
        try:
            while True:
                with suppress(TimeoutError):
                    async with asyncio.timeout_at(due):
                        await self._wake.wait()
                if clock() >= due:
                    await self.look_again()
                    due = clock() + LOOK_AGAIN
                self._wake.clear()
                await self.flush()
                await asyncio.sleep(self._interval)
        finally:
            if self._dirty:
                await self.flush()

    async def flush(self) -> None:
        if self._inherits:
            try:
                self._found((await self._specs()).values())  # how many objects there are of each gateway
            except ClusterFailed as failed:
                self._wake.set()
                log.warning("apply.state.unread", resource="XdsConfigs", reason=str(failed))
                return
            self._inherits = False
        for _ in range(len(self._dirty)):
            if not self._leads():
                return
            scope = next(iter(self._dirty))
            state = self._dirty.pop(scope)
            try:
                await self._write(scope, state)
            except asyncio.CancelledError:  # `run` writes it before it ends
                self._dirty.setdefault(scope, state)
                raise
            except NotWritten as failed:
                self._dirty.setdefault(scope, state)
                self._wake.set()
                log.warning("apply.state.unwritten", resource=f"XdsConfig of {scope}", reason=str(failed))

    async def _write(self, scope: str, state: GatewayState | None) -> None:
        objects: list[dict[str, Any]] = []
        if state is not None:
            record = recorded(state)
            digest = blake2b(record, digest_size=16).digest()
            if self._written.get(scope) == digest:
                return  # told again what it knew, as after a restart of the server
            objects = await asyncio.to_thread(_objects, self._namespace, scope, record, digest.hex())
        there = []
        for number, obj in enumerate(objects):
            body = await self._outputs.apply(self._key(scope, number), obj)
            there.append(_digest(msgspec.json.decode(body).get("spec")))
        for number in range(len(objects), self._parts.get(scope, 0)):
            await self._outputs.remove(self._key(scope, number))
        self._parts[scope] = len(objects)
        if state is None:
            self._written.pop(scope, None)
            self._there.pop(scope, None)
        else:
            self._written[scope], self._there[scope] = digest, there

    def _key(self, scope: str, number: int) -> ObjectKey:
        return ObjectKey(TYPE, self._cluster, self._namespace, _name(scope, number))


def _digest(spec: Mapping[str, Any] | None) -> bytes:
    return blake2b(canonical(spec or {}), digest_size=16).digest()


def _name(scope: str, number: int) -> str:
    return f"{scope.replace('/', '.')}-{number}"


def _objects(namespace: str, scope: str, record: bytes, digest: str) -> list[dict[str, Any]]:
    packed = zlib.compress(record, 6)
    parts = [packed[at : at + _PART] for at in range(0, len(packed), _PART)]
    where, _, name = scope.partition("/")
    return [
        {
            "metadata": {"name": _name(scope, number), "namespace": namespace},
            "spec": {
                "workloads": [{"namespace": where, "name": name}],
                "types": [
                    {
                        "typeUrl": TYPE_URL,
                        "resources": [
                            {
                                "name": f"{scope} {number} {len(parts)} {digest}",
                                "compressedData": base64.b64encode(part).decode(),
                            }
                        ],
                    }
                ],
            },
        }
        for number, part in enumerate(parts)
    ]


def _parts_of(spec: dict[str, Any]) -> Iterable[tuple[str, int, int, str, str]]:
    """(scope, number, of how many, digest of the whole, data)."""
    for type_ in spec.get("types") or ():
        if type_.get("typeUrl") != TYPE_URL:
            continue
        for resource in type_.get("resources") or ():
            words = str(resource.get("name", "")).split(" ")
            if len(words) == 4 and words[1].isdigit() and words[2].isdigit():
                yield words[0], int(words[1]), int(words[2]), words[3], str(resource.get("compressedData", ""))


def _joined(parts: dict[int, tuple[int, str, str]]) -> GatewayState | None:
    """None unless all parts are there, of one writing."""
    count, digest, _ = parts[min(parts)]
    some = [parts.get(number) for number in range(count)]
    if any(part is None or part[:2] != (count, digest) for part in some):
        return None
    try:
        packed = b"".join(base64.b64decode(part[2], validate=True) for part in some if part is not None)
        record = zlib.decompress(packed)
    except (ValueError, zlib.error):
        return None
    return restored(record) if blake2b(record, digest_size=16).hexdigest() == digest else None
