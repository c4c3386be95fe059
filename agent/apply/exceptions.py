"""Why a contribution is not served as the server wants it: the values that go up with a gateway's watermark (design
D9).
"""

from __future__ import annotations

from typing import NamedTuple

KEPT = "Kept"
REFUSED = "Refused"
MASS_DELETION_HELD = "MassDeletionHeld"
SECRET_MISSING = "SecretMissing"


class Deviation(NamedTuple):
    """One contribution of one gateway that is not as wanted, with the reason a person can act on."""

    contribution: str
    code: str
    message: str
    since_unix_nanos: int
    proxies: tuple[str, ...] = ()
