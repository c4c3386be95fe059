"""Secret: read only inside its own cluster, its data never leaves it (design.md D7)."""

from collections.abc import Mapping

from fingerpost.api.base import ApiStruct, ObjectMeta


class Secret(ApiStruct, frozen=True):
    """`data` is base64 text, `string_data` plain text; where both have a key, `string_data` wins, as in Kubernetes."""

    metadata: ObjectMeta
    type: str = "Opaque"
    data: Mapping[str, str] = {}
    string_data: Mapping[str, str] = {}
    api_version: str = "v1"
    kind: str = "Secret"

    def __repr__(self) -> str:
        # No value of a Secret may end in a log or a traceback.
        return f"Secret({self.metadata.namespace}/{self.metadata.name})"
