"""Did it arrive (design D9): a watermark and a list of exceptions per gateway, so that asking costs a few comparisons.

A gateway has an object's change when its watermark has reached the object's seq and the object is not among its
exceptions.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType

import msgspec

from fingerpost.relay.applied import ScopeApplied, ScopeException
from fingerpost.relay.objects import ISTIO_SCOPE
from mgmt.bell import Bell
from mgmt.translate.scopes import GatewayKey


class GatewayState(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of one gateway. `watermark` None: its agent has never answered."""

    watermark: int | None = None
    proxies: int | None = 0  # None: not for us to count, as where istiod is asked
    exceptions: tuple[ScopeException, ...] = ()
    lagging: tuple[str, ...] = ()
    lagging_since_unix_nanos: int = 0


class Missing(msgspec.Struct, frozen=True, kw_only=True):
    """A gateway that a change has not reached, and why."""

    gateway: str  # "<cluster>/<namespace>/<name>"
    reason: str
    since_unix_nanos: int = 0


class ArrivalView(msgspec.Struct, frozen=True, kw_only=True):
    arrived: int
    total: int
    missing: tuple[Missing, ...] = ()
    no_proxy: tuple[str, ...] = ()  # of those that count as arrived

    @property
    def complete(self) -> bool:
        return self.arrived == self.total


class Arrivals:
    def __init__(self) -> None:
        self.gateways: dict[GatewayKey, GatewayState] = {}
        self.changed = Bell()  # rings when an agent has answered, and when a gateway comes or goes

    def expect(self, gateway: GatewayKey) -> None:
        if gateway not in self.gateways:
            self.gateways[gateway] = GatewayState()
            self.changed.ring()

    def forget(self, gateway: GatewayKey) -> None:
        if self.gateways.pop(gateway, None):
            self.changed.ring()

    def applied(self, cluster: str, config_version: int, scopes: Sequence[ScopeApplied]) -> None:
        for applied in scopes:
            key = (cluster, applied.scope)
            if key in self.gateways:
                self.gateways[key] = GatewayState(
                    watermark=applied.watermark,
                    proxies=None if applied.scope == ISTIO_SCOPE else applied.proxies,
                    exceptions=tuple(applied.exceptions),
                    lagging=tuple(applied.lagging),
                    lagging_since_unix_nanos=applied.lagging_since_unix_nanos,
                )
        self.changed.ring()

    def rejected(self) -> Iterator[tuple[float, Mapping[str, str]]]:
        """`relay_rejected_objects` (relay.md §13.2): the users' objects that each cluster does not take now."""
        counts = Counter(
            (cluster, "/".join(exception.contribution.split("/")[:2]), exception.code)
            for (cluster, _), state in self.gateways.items()
            for exception in state.exceptions
        )
        for (cluster, type_, reason), count in counts.items():
            yield count, {"cluster": cluster, "type": type_, "reason": reason}

    def of(
        self,
        contribution: str,
        seq: int,
        gateways: Iterable[GatewayKey],
        connected: Iterable[str],
        told: Mapping[GatewayKey, GatewayState] = MappingProxyType({}),
    ) -> ArrivalView:
        """How far the change `seq` of one root object is, over the gateways that it concerns. `told` by others wins."""
        online = set(connected)
        arrived, missing, bare = 0, [], []
        concerned = sorted(gateways)
        for gateway in concerned:
            name = f"{gateway[0]}/{gateway[1]}"
            state = told.get(gateway) or self.gateways.get(gateway, GatewayState())
            reason, since = _why_missing(state, contribution, seq, gateway[0] in online)
            if reason:
                missing.append(Missing(gateway=name, reason=reason, since_unix_nanos=since))
                continue
            arrived += 1
            if state.proxies == 0:
                bare.append(name)
        return ArrivalView(arrived=arrived, total=len(concerned), missing=tuple(missing), no_proxy=tuple(bare))


def _why_missing(state: GatewayState, contribution: str, seq: int, online: bool) -> tuple[str, int]:
    for exception in state.exceptions:
        if exception.contribution == contribution:
            return f"{exception.code}: {exception.message}", exception.since_unix_nanos
    if state.watermark is not None and state.watermark >= seq:
        return "", 0
    if not online:
        return "its agent is not connected", 0
    if state.lagging:
        return f"proxy {', '.join(state.lagging)} has not acknowledged", state.lagging_since_unix_nanos
    return "on its way", 0
