"""The key of the keyed hashes of Secrets: made once, kept in the agent's state folder or in a Secret of its cluster,
sent nowhere else (relay.md §2.1).
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from fingerpost.secrets.protocol import Secrets, SecretsFailed

_FILE = "secret-facts.key"
_LENGTH = 32


def load_secret_key(state: Path) -> bytes:
    """Raises OSError. A key of the wrong length (a crash while it was written) is replaced: hashes change once,
    nothing else.
    """
    path = state / _FILE
    try:
        key = path.read_bytes()
        if len(key) == _LENGTH:
            return key
    except FileNotFoundError:
        state.mkdir(parents=True, exist_ok=True)
    key = secrets.token_bytes(_LENGTH)
    fresh = path.with_name(f".{_FILE}.new")
    with open(os.open(fresh, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "wb") as file:
        file.write(key)
    os.replace(fresh, path)
    return key


async def shared_secret_key(kept: Secrets, name: str) -> bytes:
    """The same for all agents of the cluster, also when several begin at once. Raises SecretsFailed."""
    found = await kept.get(name)
    if _FILE not in found:
        await kept.create(name, {_FILE: secrets.token_bytes(_LENGTH)})
        found = await kept.get(name)
    key = found.get(_FILE, b"")
    if len(key) != _LENGTH:
        raise SecretsFailed(f"secret {name} in {kept.where} has no {_FILE} of {_LENGTH} bytes; remove the secret")
    return key
