"""Profiles of `install` and `cluster register`: named sets of values for the chart gloo-platform. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ctl.exits import usage

_SINGLE: Mapping[str, Any] = {
    "glooMgmtServer": {
        "enabled": True,
        "registerCluster": True,
        "createGlobalWorkspace": True,
        "serviceType": "ClusterIP",
    },
    "glooAgent": {"enabled": True},
}
PROFILES: Mapping[str, Mapping[str, Any]] = {
    "mgmt-server": {"glooMgmtServer": {"enabled": True}},
    "agent": {"glooAgent": {"enabled": True}},
    "gloo-mesh-single": _SINGLE,
}
_ALIASES = {
    "gloo-mesh-mgmt": "mgmt-server",
    "gloo-mesh-enterprise-single": "gloo-mesh-single",
    "gloo-core-single-cluster": "gloo-mesh-single",
}
_LATER = ("ratelimit", "extauth", "portal", "gloo-gateway-demo", "gloo-network")


def values(names: Iterable[str]) -> dict[str, Any]:
    """Combined from left to right. Raises Failed."""
    out: dict[str, Any] = {}
    for name in names:
        known = PROFILES.get(_ALIASES.get(name, name))
        if known is None:
            what = "is not in this version" if name in _LATER else "is unknown"
            raise usage(f'the profile "{name}" of --profiles {what}', f"profiles are: {', '.join(PROFILES)}")
        out = merged(out, known)
    return out


def merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Mappings are merged, all else of `above` wins, as Helm does."""
    out = dict(below)
    for key, value in above.items():
        mine = out.get(key)
        out[key] = merged(mine, value) if isinstance(mine, Mapping) and isinstance(value, Mapping) else value
    return out
