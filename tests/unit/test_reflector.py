"""What a watch tells. An API server sends a bookmark once a minute, too seldom to wait for: its lines are made up."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import Any

import pytest

from fingerpost.cluster.kubernetes.api import ApiFailed
from fingerpost.cluster.kubernetes.discovery import Resource
from fingerpost.cluster.kubernetes.reflector import Reflector, Scope

_SERVICES = Scope(Resource("core/Service", "/api/v1", "services", namespaced=True, status=True))


class _Api:
    def __init__(self, *lines: tuple[str, str, str]) -> None:
        """Of a type of event, the name and the version of its object."""
        self._lines = lines

    @asynccontextmanager
    async def watching(self, path: str, query: dict[str, str], seconds: int) -> AsyncIterator[AsyncIterator[bytes]]:
        async def told() -> AsyncIterator[bytes]:
            for type_, name, version in self._lines:
                metadata = {"resourceVersion": version, **({"name": name} if name else {})}
                yield json.dumps({"type": type_, "object": {"kind": "Service", "metadata": metadata}}).encode()

        yield told()


class _Sink:
    def __init__(self) -> None:
        self.told: list[tuple[str, bool]] = []

    def read(self, scope: Scope, obj: dict[str, Any]) -> None: ...

    def listed(self, scope: Scope, objects: Sequence[None]) -> None: ...

    def changed(self, scope: Scope, obj: dict[str, Any], *, gone: bool) -> None:
        self.told.append((obj["metadata"].get("name", ""), gone))

    def failed(self, scope: Scope, error: ApiFailed) -> None: ...

    def recovered(self, scope: Scope) -> None: ...


@pytest.mark.spec("M-8")
async def test_a_bookmark_is_a_version_to_go_on_from_and_no_object() -> None:
    api, sink = _Api(("ADDED", "cart", "5"), ("DELETED", "cart", "6"), ("BOOKMARK", "", "90")), _Sink()
    watch = Reflector(api, _SERVICES, sink)._watch("4")  # type: ignore[arg-type]  # the rest of Api is not asked
    async with aclosing(watch) as versions:
        assert [version async for version in versions] == ["5", "6", "90"]
    assert sink.told == [("cart", False), ("cart", True)]
