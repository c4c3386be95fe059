"""What users must see of their objects as Events: what went wrong, and that it is mended.

It is found in the statuses that are written, so that a restart repeats nothing.
"""

from __future__ import annotations

import asyncio
import re
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any, Never

import structlog

from fingerpost.cluster.protocol import Announcement, ClusterFailed
from fingerpost.objects import ObjectKey
from fingerpost.statuses import conditions, items, part, text

log = structlog.get_logger()
_WRONG = {"INVALID": "Invalid", "FAILED": "Failed"}
_CODE = re.compile(r"([A-Z]\w+): (.*)", re.DOTALL)  # of an exception of a gateway; what is on its way has none
_EXPECTED = frozenset({"Kept"})  # safe mode: the condition of the cluster that is missing says it
_SILENCE = 600.0  # seconds for which the same is not said again, if nothing else was said between
_OF_ONE = 20  # about one object in that time
_WAITING, _PER_SECOND = 50, 5.0
_REMEMBERED = 10_000


def of_status(before: Any, status: Mapping[str, Any]) -> Iterator[Announcement]:
    """What is new in `status`; `before` is the one that was there, None: none."""
    yield from _of_state(part(before, "common", "State"), part(status, "common", "State"))
    told = set(_missing(before))
    for gateway, reason in _missing(status):  # what was found there at a start stays in it
        code = _CODE.fullmatch(reason)
        if code and code[1] not in _EXPECTED and (gateway, reason) not in told:
            yield Announcement(code[1], f"{gateway}: {code[2]}")
    yield from _of_conditions(_conditions(before), _conditions(status))


def _of_state(had: Mapping[str, Any], state: Mapping[str, Any]) -> Iterator[Announcement]:
    approval, message = text(state, "approval"), text(state, "message")
    if approval in _WRONG and (approval, message) != (text(had, "approval"), text(had, "message")):
        yield Announcement(_WRONG[approval], message)
    elif approval in ("ACCEPTED", "WARNING") and text(had, "approval") in _WRONG:
        yield Announcement("Accepted", message or "what was wrong is mended", warning=False)


def _of_conditions(had: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[Announcement]:
    before, connected = had.get("Connected", {}).get("status"), now.get("Connected", {}).get("status")
    if connected == "True" != before:
        yield Announcement("Connected", "the agent is connected", warning=False)
    elif connected == "False" and before == "True":
        yield Announcement(
            "Disconnected", "the agent is not connected any more; its gateways go on with what they have"
        )
    conflict = now.get("Conflict", {})
    if conflict.get("status") == "True" != had.get("Conflict", {}).get("status"):
        yield Announcement("Conflict", conflict.get("message", ""))


def _missing(status: Any) -> Iterator[tuple[str, str]]:
    """(gateway, reason)"""
    return ((m["gateway"], m["reason"]) for m in items(part(status, "arrival"), "missing", "gateway", "reason"))


def _conditions(status: Any) -> dict[str, Any]:
    return {c["type"]: c for c in conditions(status)}


class Announcer:
    """Says nothing twice in a row within ten minutes, and not more than twenty things about an object; five a second,
    and of more than fifty that wait the log tells how many were left out. An Event that cannot be written is lost: the
    status says the same. `mine()`: whether this process still speaks for the cluster.
    """

    def __init__(
        self,
        announce: Callable[[ObjectKey, Announcement], Awaitable[None]],
        mine: Callable[[], bool] = lambda: True,
    ) -> None:
        self._announce, self._mine = announce, mine
        self._said: dict[ObjectKey, deque[tuple[float, Announcement]]] = {}  # the latest object last
        self._due: asyncio.Queue[tuple[ObjectKey, Announcement]] = asyncio.Queue(_WAITING)
        self._dropped = 0
        self._complaint = ""

    def status(self, key: ObjectKey, before: Any, status: Mapping[str, Any]) -> None:
        """Of `key` another status was written."""
        for announcement in of_status(before, status):
            if not self._may_say(key, announcement):
                continue
            if self._due.full():
                self._dropped += 1
            else:
                self._due.put_nowait((key, announcement))

    def _may_say(self, key: ObjectKey, announcement: Announcement) -> bool:
        now, said = asyncio.get_running_loop().time(), self._said.pop(key, deque())
        while said and said[0][0] < now - _SILENCE:
            said.popleft()
        if len(self._said) >= _REMEMBERED:
            del self._said[next(iter(self._said))]
        self._said[key] = said
        if len(said) >= _OF_ONE or (said and said[-1][1] == announcement):
            return False
        said.append((now, announcement))
        return True

    async def run(self) -> Never:
        while True:
            key, announcement = await self._due.get()
            if not self._mine():
                continue
            try:
                await self._announce(key, announcement)
                self._complaint = ""
            except ClusterFailed as wrong:
                if str(wrong) != self._complaint:
                    self._complaint = str(wrong)
                    log.warning("event.write.failed", resource=str(key), reason=f"{wrong}; the status says it too")
            if self._dropped:
                log.warning("event.write.dropped", count=self._dropped, reason="too many at once; the statuses say it")
                self._dropped = 0
            await asyncio.sleep(1 / _PER_SECOND)
