"""Who came first: the one order by which older objects prevail over newer ones.

An update changes nothing in it (W-11), since a creation timestamp does not change.
"""

from __future__ import annotations

from fingerpost.objects import ObjectKey

_UNKNOWN = "\uffff"  # an object without a creation timestamp is younger than any with one


def seniority(created: str | None, key: ObjectKey) -> tuple[str, str, str, str]:
    """Sort key, oldest first: creation timestamp, then namespace, name and cluster."""
    return (created or _UNKNOWN, key.namespace, key.name, key.cluster)
