"""WorkspaceSettings: addresses of east-west gateways must be complete (destinations.md §4.1)."""

from __future__ import annotations

from fingerpost.api.admin.workspace_settings import HostInfo
from fingerpost.api.limits import LARGEST_PORT
from fingerpost.crd.constraints import Constraints, limit, required

RULES: Constraints = {
    HostInfo: (
        required("addr", "port"),
        limit("addr", minLength=1),
        limit("port", minimum=1, maximum=LARGEST_PORT),
    ),
}
