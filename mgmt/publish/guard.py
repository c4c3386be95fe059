"""The blast-radius guard of the server (design D6): a large loss is held until the clusters concerned have been listed
anew.

Pure values; `mgmt.publish.holds` keeps the books.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import msgspec

DEFAULT_SHARE = 0.5
DEFAULT_FLOOR = 10


class GuardSettings(msgspec.Struct, frozen=True):
    """A loss of more than `share` and at least `floor` contributions (or endpoint addresses) is held."""

    share: float = DEFAULT_SHARE
    floor: int = DEFAULT_FLOOR


class Loss(NamedTuple):
    """What one turn takes from one class of gateways. `total` is the number before."""

    lost: frozenset[str]  # contributions
    total: int
    addresses_lost: int = 0
    addresses_total: int = 0
    shrunk: frozenset[str] = frozenset()  # contributions whose endpoints shrank

    def too_large(self, settings: GuardSettings) -> bool:
        if self.lost and len(self.lost) == self.total:
            return True
        for lost, total in ((len(self.lost), self.total), (self.addresses_lost, self.addresses_total)):
            if lost >= settings.floor and lost > settings.share * total:
                return True
        return False


class Held(NamedTuple):
    """A loss that waits. `waiting` are the clusters whose new listing is still missing."""

    contributions: frozenset[str]
    waiting: frozenset[str]
    since_unix_nanos: int


class Had(NamedTuple):
    """What a class of gateways had before a turn: its contributions, and the loss that was held there."""

    contributions: frozenset[str]
    held: Held | None


def cluster_of(contribution: str) -> str:
    """`<group>/<Kind>/<cluster>/<namespace>/<name>` -> the cluster."""
    return contribution.split("/")[2]


def clusters_concerned(loss: Loss, all_clusters: Iterable[str]) -> frozenset[str]:
    """The homes of what was lost; endpoints can come from anywhere, so a loss of those concerns every cluster."""
    homes = frozenset(cluster_of(c) for c in loss.lost)
    return frozenset(all_clusters) if loss.shrunk else homes


def reasons(held: Held) -> dict[str, str]:
    """contribution -> why it is kept."""
    waiting = ", ".join(sorted(held.waiting)) or "a person"
    return dict.fromkeys(held.contributions, f"large loss held, waiting for a new listing of {waiting}")
