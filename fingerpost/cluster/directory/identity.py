"""What an API server gives an object at birth: uid, creationTimestamp, and a generation that counts the changes of
its spec.
"""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import uuid4

import msgspec

from fingerpost.cluster.directory.manifest import ManifestObject
from fingerpost.cluster.directory.records import Identity
from fingerpost.objects import canonical
from fingerpost.shared import shared

_decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])
_metadata = msgspec.json.Decoder()


def identify(one: ManifestObject, known: Identity | None, owner: str) -> Identity:
    if known is None:
        created = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return Identity(str(uuid4()), shared(created), 1, one.spec, owner)
    generation = known.generation + (known.spec != one.spec)
    return known._replace(generation=generation, spec=one.spec, owner=owner)


def stamped(one: ManifestObject, identity: Identity) -> bytes:
    """The body that travels. A manifest's own uid and creationTimestamp win."""
    obj = _decoder.decode(one.content)
    metadata = _metadata.decode(obj["metadata"])
    metadata["uid"] = metadata.get("uid") or identity.uid
    metadata["creationTimestamp"] = metadata.get("creationTimestamp") or identity.created
    metadata["generation"] = identity.generation
    obj["metadata"] = msgspec.Raw(canonical(metadata))
    return canonical(obj)
