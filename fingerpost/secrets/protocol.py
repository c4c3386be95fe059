"""The one door to named secrets: each is a mapping of file name to bytes, as a Kubernetes Secret is."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping
from typing import Protocol

Data = Mapping[str, bytes]
BLOCKLIST = "relay-client-blocklist"  # a ConfigMap where there are API servers: its names are no secrets


class SecretsFailed(Exception):
    """A secret could not be read or written, or does not hold what it must."""


class SecretForbidden(SecretsFailed):
    """The right to read it was not given."""


class Secrets(Protocol):
    @property
    def where(self) -> str:
        """For messages."""
        ...

    async def get(self, name: str) -> Data:
        """Empty when there is none. Raises SecretsFailed, SecretForbidden."""
        ...

    async def put(self, name: str, data: Data) -> None:
        """All of it at once for whoever reads pairs by their match. Raises SecretsFailed."""
        ...

    async def create(self, name: str, data: Data) -> bool:
        """False when there is one already: it stays as it is. Raises SecretsFailed."""
        ...

    def watch(self, names: Collection[str]) -> AsyncIterator[str]:
        """The name of each that may have changed, for ever; each at least once at the start."""
        ...
