"""What Helm renders, and what it keeps of a release, as objects."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import yaml

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def objects(text: str) -> Iterator[Mapping[str, Any]]:
    """Documents that are empty are left out."""
    return (obj for obj in yaml.load_all(text, Loader=_LOADER) if isinstance(obj, dict))


def environment(deployment: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The variables of all its containers."""
    for container in deployment["spec"]["template"]["spec"]["containers"]:
        yield from container.get("env") or ()
