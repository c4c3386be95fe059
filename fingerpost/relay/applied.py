"""What an agent reports about one scope (design D9): how far its proxies are, and what is not as wanted. Values
only.
"""

from __future__ import annotations

import msgspec


class ScopeException(msgspec.Struct, frozen=True, kw_only=True):
    """A contribution that is not served as wanted. `code`: Kept | Refused | MassDeletionHeld | SecretMissing | Failed
    | NameConflict, and NotUnderstood, which the server adds for what it did not send.
    """

    contribution: str
    code: str
    message: str = ""
    since_unix_nanos: int = 0
    proxies: tuple[str, ...] = ()


class ScopeApplied(msgspec.Struct, frozen=True, kw_only=True):
    """`exceptions` and `lagging` are complete lists, they replace what was reported before."""

    scope: str
    watermark: int
    proxies: int = 0
    exceptions: tuple[ScopeException, ...] = ()
    lagging: tuple[str, ...] = ()
    lagging_since_unix_nanos: int = 0
