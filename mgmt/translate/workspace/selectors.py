"""ObjectSelectors, label selectors and name patterns: the one place where a selector meets an object.

A selector only narrows (workspaces.md §5.1); that the object is available at all is decided in `sharing`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

from fingerpost.api.common import ObjectSelector
from fingerpost.objects import ObjectKey


def labels_match(wanted: Mapping[str, str], labels: Mapping[str, str]) -> bool:
    """All wanted labels are there with that value; nothing wanted matches everything."""
    return all(labels.get(name) == value for name, value in wanted.items())


@lru_cache(maxsize=4096)
def _glob(pattern: str) -> re.Pattern[str]:
    return re.compile(".*".join(re.escape(part) for part in pattern.split("*")), re.DOTALL)


def name_matches(pattern: str, name: str) -> bool:
    """`*` stands for any run of characters, all else for itself; the whole name has to match (workspaces.md §2.2)."""
    if "*" not in pattern:
        return pattern == name
    return _glob(pattern).fullmatch(name) is not None


def selector_matches(
    selector: ObjectSelector, key: ObjectKey, labels: Mapping[str, str], workspace: str | None
) -> bool:
    """All given fields hold (routing.md §2.2). `workspace` is the owner of the object, None when nobody owns it."""
    return (
        (not selector.name or selector.name == key.name)
        and (not selector.namespace or selector.namespace == key.namespace)
        and (not selector.cluster or selector.cluster == key.cluster)
        and (not selector.workspace or selector.workspace == workspace)
        and labels_match(selector.labels, labels)
    )
