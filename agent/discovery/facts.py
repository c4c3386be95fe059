"""What goes up about a Service and a Secret besides the Service itself: ServiceFacts, SecretFacts. No pod address, no
data of a Secret.
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Iterable, Mapping

import msgspec

from agent.discovery.endpoints import Endpoint, Found
from fingerpost.api.base import ObjectMeta
from fingerpost.api.core.secret import Secret
from fingerpost.api.core.service import Service
from fingerpost.api.internal.discovered_gateway import DiscoveredGateway
from fingerpost.api.internal.secret_facts import SecretFacts, SecretFactsSpec
from fingerpost.api.internal.service_facts import ServiceFacts, ServiceFactsSpec
from fingerpost.objects import EXPORT_TO, canonical

_NOBODY = "~"


def is_hidden(service: Service) -> bool:
    return service.metadata.annotations.get(EXPORT_TO, "").strip() == _NOBODY


def body_of(made: ServiceFacts | SecretFacts | DiscoveredGateway) -> bytes:
    """Canonical JSON; defaults are left out, but what the object is always stands in it."""
    return canonical({"apiVersion": made.api_version, "kind": made.kind, **msgspec.to_builtins(made)})


def service_facts(service: Service, found: Found, label_keys: Iterable[str]) -> bytes:
    """Independent of how many endpoints there are (D-14)."""
    ready = [endpoint for endpoints in found.ports.values() for endpoint in endpoints]
    first = min((e for e in ready if e.pod), key=lambda e: e.pod, default=None)
    return body_of(
        ServiceFacts(
            metadata=_named(service.metadata),
            spec=ServiceFactsSpec(
                ready_ports=tuple(sorted(number for number, endpoints in found.ports.items() if endpoints)),
                service_accounts=tuple(sorted({e.service_account for e in ready if e.service_account})),
                all_sidecars=bool(ready) and all(e.has_sidecar for e in ready),
                pods_without_sidecar=any(not e.has_sidecar for e in ready),
                region=first.region if first else "",
                labels=_combinations(ready, sorted(set(label_keys))),
            ),
        )
    )


def _combinations(ready: Iterable[Endpoint], keys: list[str]) -> tuple[Mapping[str, str], ...]:
    found = {tuple((key, e.labels[key]) for key in keys if key in e.labels) for e in ready}
    return tuple(dict(one) for one in sorted(found) if one)


def secret_data(secret: Secret) -> dict[str, bytes]:
    """What is not base64 counts as it stands, so that a change of it is still seen."""
    data = {}
    for name, text in secret.data.items():
        try:
            data[name] = base64.b64decode(text, validate=True)
        except ValueError:
            data[name] = text.encode()
    return data | {name: text.encode() for name, text in secret.string_data.items()}


def secret_facts(secret: Secret, key: bytes) -> bytes:
    data = secret_data(secret)
    encoded = canonical({name: base64.b64encode(value).decode() for name, value in data.items()})
    return body_of(
        SecretFacts(
            metadata=_named(secret.metadata),
            spec=SecretFactsSpec(
                type=secret.type, keys=tuple(sorted(data)), hmac=hmac.new(key, encoded, "sha256").hexdigest()
            ),
        )
    )


def _named(metadata: ObjectMeta) -> ObjectMeta:
    return ObjectMeta(
        name=metadata.name,
        namespace=metadata.namespace,
        uid=metadata.uid,
        creation_timestamp=metadata.creation_timestamp,
    )
