"""ConfigMap: istiod's mesh configuration."""

from collections.abc import Mapping

from fingerpost.api.base import ApiStruct, ObjectMeta


class ConfigMap(ApiStruct, frozen=True):
    metadata: ObjectMeta
    data: Mapping[str, str] = {}
    api_version: str = "v1"
    kind: str = "ConfigMap"
