"""What facts the server needs from a cluster beyond those every agent pushes. A value only."""

from __future__ import annotations

import msgspec

from fingerpost.objects import canonical, content_hash


class Interest(msgspec.Struct, frozen=True, kw_only=True):
    """Names are "<namespace>/<name>", sorted; label keys are those of pods that subsets are made of.

    `partial`: the server does not know all inputs yet, so what is not in here may be needed all the same.
    """

    secrets: tuple[str, ...] = ()
    label_keys: tuple[str, ...] = ()
    services: tuple[str, ...] = ()
    partial: bool = False

    @property
    def digest(self) -> bytes:
        """32 bytes: what is asked, whether all is known or not."""
        return content_hash(canonical([list(self.secrets), list(self.label_keys), list(self.services)]))

    def joined(self, other: Interest) -> Interest:
        """Both together."""
        return Interest(
            secrets=_both(self.secrets, other.secrets),
            label_keys=_both(self.label_keys, other.label_keys),
            services=_both(self.services, other.services),
        )


def _both(one: tuple[str, ...], other: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(sorted({*one, *other}))
