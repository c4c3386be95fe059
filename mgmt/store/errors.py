"""What can go wrong with the store.

Errors of the Redis client never leave this package; none of these messages contains a password.

StoreError
├── StoreUnavailable     Redis is away, too slow or takes no writes; the caller goes on from memory
├── StoreChanged         Redis answers, but is not what this replica knew (emptied, or older): recover
└── StoreMisconfigured   only a person can mend it: address, password, a layout from a newer version
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from redis import exceptions as foreign

# the client wraps some refusals into plain connection errors, so only their words tell
_PASSWORD = ("WRONGPASS", "NOAUTH", "invalid username-password", "invalid password", "Authentication required")
# the loop's words (uvloop's) for a connection that was reset while it lay idle, which the client passes on as they are
_RESET = "the handler is closed"


class StoreError(Exception):
    """Base of this package's errors."""


class StoreUnavailable(StoreError):
    """Try again later."""


class StoreChanged(StoreError):
    """The epoch in Redis is not the one this replica has attached to, or its sequence went back."""


class StoreMisconfigured(StoreError):
    """Trying again does not help."""


@contextmanager
def converted(where: str, secret_name: str) -> Iterator[None]:
    """Foreign errors become ours.

    `where` is the address without the password, `secret_name` says where the password comes from.
    """
    try:
        yield
    except foreign.RedisError as e:
        raise _ours(e, where, secret_name) from e
    except (OSError, TimeoutError) as e:
        raise StoreUnavailable(f"redis at {where} does not answer: {type(e).__name__}: {e}") from e
    except RuntimeError as e:
        if _RESET not in str(e):
            raise
        raise StoreUnavailable(f"redis at {where} does not answer: the connection was reset") from e


def _ours(e: foreign.RedisError, where: str, secret_name: str) -> StoreError:
    text = str(e)
    if isinstance(e, foreign.AuthenticationError) or any(mark in text for mark in _PASSWORD):
        return StoreMisconfigured(
            f"redis at {where} refuses the user name or password taken from {secret_name}; correct them there"
        )
    if isinstance(e, foreign.NoPermissionError):
        return StoreMisconfigured(f"redis at {where}: the user lacks a permission ({text}); allow it all on keys fp:*")
    if "DB index" in text:
        return StoreMisconfigured(f"redis at {where}: it has no database of that number; use a lower one")
    if "EPOCH" in text:
        return StoreChanged(f"redis at {where} has lost or changed its memory")
    if isinstance(e, foreign.OutOfMemoryError) or "OOM command not allowed" in text:
        return StoreUnavailable(
            f"redis at {where} is full and takes no writes; raise its maxmemory, or take out what else is kept there"
        )
    if isinstance(e, foreign.ReadOnlyError) or "READONLY" in text:
        return StoreUnavailable(
            f"redis at {where} is a read-only replica; promote it, or name its primary in redis_url"
        )
    if isinstance(e, foreign.ResponseError):
        return StoreUnavailable(f"redis at {where} refuses a command: {text}")
    return StoreUnavailable(f"redis at {where} does not answer: {type(e).__name__}: {text}")
