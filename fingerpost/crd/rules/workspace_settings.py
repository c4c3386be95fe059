"""WorkspaceSettings: addresses of east-west gateways must be complete (destinations.md §4.1), the names of federated
Services must be host names (§6.2).
"""

from __future__ import annotations

from fingerpost.api.admin.workspace_settings import Federation, HostInfo
from fingerpost.api.limits import LARGEST_PORT, LONGEST_HOST
from fingerpost.crd.constraints import Constraints, Rule, limit, required
from fingerpost.crd.rules.common import is_host

SUFFIX = "is no DNS name; write one such as global"

RULES: Constraints = {
    HostInfo: (
        required("addr", "port"),
        limit("addr", minLength=1),
        limit("port", minimum=1, maximum=LARGEST_PORT),
    ),
    Federation: (
        limit("hostSuffix", maxLength=LONGEST_HOST),
        Rule(f"self == '' || {is_host()}", SUFFIX, at="hostSuffix"),
    ),
}
