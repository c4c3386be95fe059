"""RouteError: why a route cannot send requests anywhere. A value, because a broken reference is a user's mistake and
never an exception.

`kind` is what the proxy may say to a stranger (the class in the 500 body, routing.md §13.2); `reason` is for the
user's status only.
"""

from __future__ import annotations

from typing import Final

import msgspec

DESTINATION: Final = "destination"  # E1, E4
PORT: Final = "port"  # E2
WEIGHTS: Final = "weights"  # E3
DELEGATION: Final = "delegation"  # E6
MATCHERS: Final = "matchers"  # E7, E8
ACTION: Final = "action"  # E5, E8, E9, E10


class RouteError(msgspec.Struct, frozen=True):
    """One class of error and one lower-case sentence without a full stop."""

    kind: str
    reason: str
