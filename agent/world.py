"""What the agent knows of its own cluster, and where it goes: facts up, endpoints and secrets to the gateways."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from agent.discovery.endpoints import Endpoint
from agent.discovery.kinds import SECRET
from agent.discovery.world import World
from agent.xds.ports import Locality
from fingerpost.api.core.secret import Secret
from fingerpost.cluster.protocol import Change

_secret = msgspec.json.Decoder(Secret)


class SecretData:
    """The data of this cluster's Secrets, for its own proxies only. Never logged, never sent up."""

    def __init__(self) -> None:
        self._secrets: dict[tuple[str, str], Mapping[str, bytes]] = {}

    def apply(self, changes: Sequence[Change]) -> None:
        for key, body in changes:
            if key.type != SECRET:
                continue
            if body is None:
                self._secrets.pop((key.namespace, key.name), None)
                continue
            try:
                self._secrets[key.namespace, key.name] = _secret.decode(body).decoded()
            except (msgspec.MsgspecError, ValueError):
                self._secrets.pop((key.namespace, key.name), None)

    def get(self, namespace: str, name: str) -> Mapping[str, bytes] | None:
        return self._secrets.get((namespace, name))


class LocalView:
    """Endpoints and localities as `agent.xds.ports` asks for them."""

    def __init__(self, world: World) -> None:
        self._world = world

    def of(self, namespace: str, service: str, port: int, subset: Mapping[str, str]) -> Sequence[Endpoint]:
        found = self._world.endpoints(namespace, service, port)
        if not subset:
            return found
        return [e for e in found if all(e.labels.get(k) == v for k, v in subset.items())]

    def locality_of_proxy(self, namespace: str, instance: str) -> Locality | None:
        where = self._world.locality_of_pod(namespace, instance)
        return Locality(where.region, where.zone, where.sub_zone) if where.region else None
