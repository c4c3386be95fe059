"""Why a stream ends. One small tree of errors for both halves:

RelayError
├── Refused    the peer's request is turned down for a named reason (becomes a Goodbye)
└── LinkLost   the stream is over; `keep_linked` retries it
"""

from __future__ import annotations

import enum

REFUSED_KIND = "x-refused-kind"  # trailing metadata of a certificate request that was turned down


class Reason(enum.IntEnum):
    """Equal to Goodbye.Reason on the wire."""

    UNSPECIFIED = 0
    DRAINING = 1
    REBALANCE = 2
    NOT_REGISTERED = 3
    DUPLICATE = 4
    UNAUTHENTICATED = 5
    PROTOCOL = 6
    STALE_CONFIG = 7


class RelayError(Exception):
    """Base of this package's errors."""


class Refused(RelayError):
    """Say Goodbye with this reason; `retry_after` seconds (0: the peer's own back-off) before the next attempt."""

    def __init__(self, reason: Reason, message: str, retry_after: float = 0.0) -> None:
        super().__init__(message)
        self.reason, self.message, self.retry_after = reason, message, retry_after


class LinkLost(RelayError):
    """The link is gone; `retry_after` is the peer's wish when it said Goodbye."""

    def __init__(self, message: str, *, reason: Reason | None = None, retry_after: float = 0.0) -> None:
        super().__init__(message)
        self.message, self.reason, self.retry_after = message, reason, retry_after
