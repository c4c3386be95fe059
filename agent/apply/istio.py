"""The Istio objects of this cluster: what the server wants of them, and what is in force instead (relay.md §8.4).

What holds for a gateway holds for them: contributions that the server keeps stay, and a loss of too many at once waits
until it is confirmed. Where they are kept for the next start is the cluster itself: what an earlier process has written
there and nobody wants any more goes with the first version, by the same rules.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

import msgspec

from agent.apply.exceptions import Deviation
from agent.apply.gateway import GatewayState, Key
from agent.apply.objects import Objects
from agent.apply.wanted import Object
from agent.relay.desired import DesiredState
from agent.xds.ports import Applied, Reports
from fingerpost.cluster.protocol import Change, Outputs
from fingerpost.objects import ObjectKey
from fingerpost.relay.objects import ISTIO_SCOPE, OBJECT, key_of, name_of
from fingerpost.relay.pieces import PieceList, Role, join, piece

TYPES: Final = tuple(
    f"networking.istio.io/{kind}"
    for kind in ("DestinationRule", "EnvoyFilter", "Gateway", "ServiceEntry", "VirtualService", "WorkloadEntry")
)
NO_API_SERVER: Final = "NoApiServer"
_PARENT = "gloo.solo.io/parent"
_NOWHERE = "an Istio gateway needs an API server to write to, and this cluster is a folder"


class _Version(NamedTuple):
    number: int
    changed: Mapping[Key, PieceList | None]
    keep: Mapping[str, str]
    confirmed: bool


class IstioObjects:
    """`outputs` None: a cluster without an API server, which says so for everything that it should have.

    While `leads()` does not hold, another agent of this cluster writes and reports.
    """

    def __init__(
        self,
        cluster: str,
        outputs: Outputs | None,
        reports: Reports,
        desired: DesiredState,
        leads: Callable[[], bool] = lambda: True,
    ) -> None:
        self._cluster, self._outputs, self._reports, self._desired = cluster, outputs, reports, desired
        self._leads = leads
        self.state = GatewayState(ISTIO_SCOPE)
        self._objects = (
            Objects(outputs, lambda _scope: self._report(), time.monotonic, leads=leads) if outputs else None
        )
        self.adopted = asyncio.Event()
        self._early: _Version | None = None  # came before it was known what the cluster holds
        self._there: dict[Key, PieceList] = {}  # what an earlier process has written, until it is adopted
        self._left: frozenset[Key] = (
            frozenset()
        )  # by an earlier process; until the first version tells what of it stays
        self._reported: Applied | None = None
        self._watermark = 0
        if outputs is None:
            self.adopted.set()

    # ------------------------------------------------------------ what comes down

    def on_version(
        self, version: int, changed: Mapping[Key, PieceList | None], keep: Mapping[str, str], *, confirmed: bool
    ) -> None:
        self._take(_Version(version, changed, keep, confirmed))

    def on_gone(self, version: int, *, confirmed: bool) -> None:
        """The server knows no Istio gateway of this cluster any more."""
        self._take(_Version(version, dict.fromkeys(self.state.wanted), {}, confirmed))

    def take_over(self) -> None:
        """This agent leads from now on: it writes what the former leader has not."""
        if self._objects is not None:
            self._objects.look()
        self._report()

    def release(self) -> bool:
        """A person agrees to the losses that are held. False: there were none."""
        if not self.state.lost:
            return False
        self._want(self.state.release())
        return True

    def _take(self, version: _Version) -> None:
        if not self.adopted.is_set():
            before = self._early.changed if self._early else {}
            self._early = version._replace(changed={**before, **version.changed})
            return
        number, changed, keep, confirmed = version
        changed = {**dict.fromkeys(self._left), **changed}
        self._left = frozenset()
        self._want(self.state.apply(number, changed, keep, confirmed=confirmed, now=time.time_ns()))

    def _want(self, moved: set[Key]) -> None:
        if self._objects is not None:
            changed = {key_of(self._cluster, name): self._object((type_, name)) for type_, name in moved}
            self._objects.want(ISTIO_SCOPE, self.state.version, changed)
        self._report()

    def _object(self, key: Key) -> Object | None:
        pieces = self.state.effective.get(key)
        return Object(join(pieces), next(iter(pieces)).contribution) if pieces is not None else None

    # ------------------------------------------------------------ what is there

    def saw(self, changes: tuple[Change, ...], *, listed: bool) -> None:
        """A batch of the cluster's watch."""
        if self._objects is None:
            return
        mine = [change for change in changes if change.key.type in TYPES]
        self._objects.saw(mine, listed=listed)
        if self.adopted.is_set():
            return
        for key, body in mine:
            self._there.pop((OBJECT, name_of(key)), None)
            if body is not None and (found := self._own(key, body)) is not None:
                self._there[OBJECT, name_of(key)] = found
        if listed:
            self._adopt(self._there)

    async def run(self) -> None:
        """For ever, where there is an API server."""
        if self._objects is not None:
            await self._objects.run()

    def _own(self, key: ObjectKey, body: bytes) -> PieceList | None:
        """None for what others made."""
        metadata = msgspec.json.decode(body)["metadata"]
        marks = self._outputs.marks.items() if self._outputs is not None else ()
        if not marks or not marks <= (metadata.get("labels") or {}).items():
            return None
        return PieceList([piece(Role.TOP, _contribution(key, metadata), body)])

    def _adopt(self, held: Mapping[Key, PieceList]) -> None:
        """What an earlier process has left counts as what was wanted last: its absence is a loss like any other."""
        if held:
            self.state.restore(0, held, held)
            self._desired.remember(ISTIO_SCOPE)
        self._left, self._there = frozenset(held), {}
        self.adopted.set()
        if self._early is not None:
            self._take(self._early)

    # ------------------------------------------------------------ what is said of it

    def _report(self) -> None:
        if not self.state.known or not self._leads():
            return
        if self._objects is None:
            self._watermark = self.state.version
        else:
            self._watermark = max(self._watermark, self._objects.wanted.arrived(ISTIO_SCOPE))
        applied = Applied(ISTIO_SCOPE, self._watermark, 0, tuple(sorted(self._deviations())), (), 0)
        if applied != self._reported:
            self._reported = applied
            self._reports.on_applied(applied)

    def _deviations(self) -> list[Deviation]:
        found = self.state.deviations()
        if self._objects is None:
            names = {p.contribution for pieces in self.state.effective.values() for p in pieces}
            return [*found, *(Deviation(name, NO_API_SERVER, _NOWHERE, 0) for name in names)]
        passed = time.time_ns() - int(time.monotonic() * 1e9)  # troubles are dated by a clock that never jumps
        for _, obj, trouble in self._objects.wanted.troubled(ISTIO_SCOPE):
            since = passed + int(trouble.since * 1e9)
            found.append(Deviation(obj.contribution, trouble.why.value, trouble.message, since))
        return found


def _contribution(key: ObjectKey, metadata: Mapping[str, Any]) -> str:
    """The user's object that it comes from, by its labels; an annotation has what was too long for a label."""
    said = {**(metadata.get("labels") or {}), **(metadata.get("annotations") or {})}
    group, kind, cluster, namespace, name = (
        said.get(f"{_PARENT}_{part}", "") for part in ("group", "kind", "cluster", "namespace", "name")
    )
    if not (kind and name):
        return key.contribution
    return ObjectKey(f"{group or 'core'}/{kind}", cluster, namespace, name).contribution
