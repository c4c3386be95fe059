"""A token per gateway, in files that only the agent and `fingerpost proxy bootstrap` read (design D16). Tokens are
never logged.
"""

from __future__ import annotations

import os
import secrets
from hashlib import sha256
from pathlib import Path

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


class Tokens:
    """Who a token stands for. Looked up by digest, so that the time taken tells nothing about the tokens that exist."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._gateways: dict[bytes, str] = {}

    def ensure(self, gateway: str) -> None:
        self._gateways[_digest(ensure_token(self._folder, gateway))] = gateway

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
