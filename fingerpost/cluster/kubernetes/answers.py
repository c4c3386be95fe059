"""The JSON that an API server answers with, checked as far as it is relied on. For anything else, as a proxy in front
of it may answer, ValueError is raised; what bears no list must not pass for an empty one.
"""

from __future__ import annotations

from typing import Any

import msgspec


class Named(msgspec.Struct, frozen=True, rename="camel"):
    """Metadata of an object, also in a list or a watch."""

    name: str
    namespace: str = ""
    resource_version: str = ""
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None


class _Stored(Named, frozen=True, kw_only=True, rename="camel"):
    uid: str
    resource_version: str


class _Item(msgspec.Struct, frozen=True):
    metadata: Named


class _Object(msgspec.Struct, frozen=True):
    metadata: _Stored


class ListMeta(msgspec.Struct, frozen=True, rename="camel"):
    resource_version: str = ""
    # "continue" is a keyword
    more: str = msgspec.field(default="", name="continue")


class _Items(msgspec.Struct, frozen=True):
    metadata: ListMeta
    items: list[_Item] | None  # null where there are none


class Page(msgspec.Struct, frozen=True):
    """Decoded, its items are many times as large: `mapping` takes one."""

    metadata: ListMeta
    items: list[msgspec.Raw] | None


_stored = msgspec.json.Decoder(_Object)
_item = msgspec.json.Decoder(_Item)
_items = msgspec.json.Decoder(_Items)
_pages = msgspec.json.Decoder(Page)
mapping = msgspec.json.Decoder(dict[str, Any]).decode


def stored(raw: bytes) -> dict[str, Any]:
    """An object as it is asked for or written alone."""
    _stored.decode(raw)
    return mapping(raw)


def item(raw: bytes | msgspec.Raw) -> dict[str, Any]:
    """An object as a watch tells it."""
    _item.decode(raw)
    return mapping(raw)


def page(raw: bytes) -> Page:
    _items.decode(raw)
    return _pages.decode(raw)
