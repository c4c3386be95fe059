"""What the xDS side needs from the rest of the agent, and what it tells it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple, Never, Protocol

from agent.apply.exceptions import Deviation
from agent.apply.gateway import GatewayState, Key
from agent.discovery.locality import Locality
from fingerpost.relay.applied import ScopeApplied, ScopeException


class Endpoint(Protocol):
    """One ready address of a local Service."""

    @property
    def address(self) -> str: ...
    @property
    def port(self) -> int: ...
    @property
    def region(self) -> str: ...
    @property
    def zone(self) -> str: ...
    @property
    def sub_zone(self) -> str: ...
    @property
    def has_sidecar(self) -> bool: ...


class LocalEndpoints(Protocol):
    def of(self, namespace: str, service: str, port: int, subset: Mapping[str, str]) -> Sequence[Endpoint]:
        """The ready endpoints for the Service's port `port` whose pods carry the labels `subset`."""
        ...


class Secrets(Protocol):
    def get(self, namespace: str, name: str) -> Mapping[str, bytes] | None: ...


class Localities(Protocol):
    def locality_of_proxy(self, namespace: str, instance: str) -> Locality | None:
        """For a proxy that does not say itself where it is; None when it is not known."""
        ...

    def locality_of_gateway(self, namespace: str, service: str) -> Locality:
        """What the places of all its pods have in common."""
        ...


class Certificates(Protocol):
    def of(self, gateway: str) -> CertificateFiles | None: ...


class CertificateFiles(NamedTuple):
    """PEM. `key` never leaves the agent except to the gateway's own proxies."""

    chain: bytes
    key: bytes
    roots: bytes


class Applied(NamedTuple):
    scope: str
    watermark: int
    proxies: int
    deviations: tuple[Deviation, ...]
    lagging: tuple[str, ...]
    lagging_since_unix_nanos: int

    def answer(self) -> ScopeApplied:
        """As the server is told."""
        exceptions = tuple(
            ScopeException(
                contribution=d.contribution,
                code=d.code,
                message=d.message,
                since_unix_nanos=d.since_unix_nanos,
                proxies=d.proxies,
            )
            for d in self.deviations
        )
        return ScopeApplied(
            scope=self.scope,
            watermark=self.watermark,
            proxies=self.proxies,
            exceptions=exceptions,
            lagging=self.lagging,
            lagging_since_unix_nanos=self.lagging_since_unix_nanos,
        )


class Reports(Protocol):
    """Called synchronously; must return at once."""

    def on_applied(self, applied: Applied) -> None: ...

    def on_offered(self, scope: str, version: int, seen_unix_nanos: int) -> None:
        """Every connected proxy was sent the version, or, with none, the agent holds it."""
        ...


class Store(Protocol):
    """Where the states are kept for the next start. `changed` and `removed` return at once."""

    def changed(self, state: GatewayState, touched: Collection[Key] | None = None) -> None:
        """`touched`: the keys whose wanted list may be another one; None: any."""
        ...

    def removed(self, scope: str) -> None: ...


class Keeper(Store, Protocol):
    """A folder (agent.apply.disk), and objects in the cluster where it takes any (agent.apply.twice)."""

    async def read(self) -> list[GatewayState]: ...

    def take_over(self) -> None:
        """From now on this agent writes; another one did."""
        ...

    async def run(self) -> Never: ...


class NoReports:
    def on_applied(self, applied: Applied) -> None:
        pass

    def on_offered(self, scope: str, version: int, seen_unix_nanos: int) -> None:
        pass
