"""A token per gateway (design D16): in files that only the agent and `fingerpost proxy bootstrap` read, or made from a
key that all agents of a cluster share. Tokens are never logged.
"""

from __future__ import annotations

import base64
import hmac
import os
import secrets
from hashlib import sha256
from pathlib import Path
from typing import Protocol

from agent.apply.disk import file_name

_BYTES = 32


def ensure_token(folder: Path, gateway: str) -> str:
    """The token of the gateway "namespace/name"; made at first sight. Two callers at once get the same one."""
    path = folder / file_name(gateway)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        file = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    except FileExistsError:
        if token := path.read_text().strip():
            return token
        file = os.open(path, os.O_WRONLY | os.O_TRUNC, 0o600)
    token = secrets.token_urlsafe(_BYTES)
    with os.fdopen(file, "w") as out:
        out.write(token)
    return token


class GatewayTokens(Protocol):
    def ensure(self, gateway: str) -> str:
        """The token of the gateway "namespace/name". Raises OSError when it cannot be kept."""
        ...

    def gateway_of(self, token: str) -> str | None: ...


class DerivedTokens:
    """Nothing to keep but the key: a token names its gateway, and proves that its maker has the key."""

    def __init__(self, key: bytes) -> None:
        self._key = hmac.digest(key, b"tokens of gateways", "sha256")

    def ensure(self, gateway: str) -> str:
        proof = hmac.digest(self._key, gateway.encode(), "sha256")
        return f"{gateway}/{base64.urlsafe_b64encode(proof).decode().rstrip('=')}"

    def gateway_of(self, token: str) -> str | None:
        gateway = token.rpartition("/")[0]
        return gateway if hmac.compare_digest(self.ensure(gateway).encode(), token.encode()) else None


class Tokens:
    """Who a token stands for. Looked up by digest, so that the time taken tells nothing about the tokens that exist."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._gateways: dict[bytes, str] = {}

    def ensure(self, gateway: str) -> str:
        token = ensure_token(self._folder, gateway)
        self._gateways[_digest(token)] = gateway
        return token

    def gateway_of(self, token: str) -> str | None:
        known = self._gateways.get(_digest(token))
        if known is None:
            self._read()  # `proxy bootstrap` may have made it a moment ago
            known = self._gateways.get(_digest(token))
        return known

    def _read(self) -> None:
        if not self._folder.is_dir():
            return
        fresh: dict[bytes, str] = {}
        for path in self._folder.iterdir():
            namespace, _, name = path.name.partition("_")
            if token := path.read_text().strip():
                fresh[_digest(token)] = f"{namespace}/{name}"
        self._gateways = fresh


def _digest(token: str) -> bytes:
    return sha256(token.encode()).digest()
