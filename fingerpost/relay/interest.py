"""What facts the server needs from a cluster beyond those every agent pushes. A value only."""

from __future__ import annotations

import msgspec


class Interest(msgspec.Struct, frozen=True, kw_only=True):
    """Names are "<namespace>/<name>", sorted; label keys are those of pods that subsets are made of."""

    secrets: tuple[str, ...] = ()
    label_keys: tuple[str, ...] = ()
    services: tuple[str, ...] = ()
