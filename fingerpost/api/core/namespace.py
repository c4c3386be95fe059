"""Namespace: its labels decide which workspace owns what is in it."""

from fingerpost.api.base import ApiStruct, ObjectMeta


class Namespace(ApiStruct, frozen=True):
    metadata: ObjectMeta
    api_version: str = "v1"
    kind: str = "Namespace"
