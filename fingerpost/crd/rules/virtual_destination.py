"""VirtualDestination: its hosts, ports and that it stands for something (destinations.md §5.1)."""

from __future__ import annotations

from fingerpost.api.limits import LARGEST_PORT, LONGEST_HOST, MOST_DISTINCT
from fingerpost.api.networking.virtual_destination import PortMapping, VirtualDestination, VirtualDestinationSpec
from fingerpost.crd.constraints import Constraints, Rule, limit, required
from fingerpost.crd.rules.common import WRITTEN_PROTOCOLS, is_host

_SELECTS = " || ".join(
    f"has(self.{name}) && self.{name}.size() > 0" for name in ("services", "externalServices", "externalWorkloads")
)
STANDS_FOR_NOTHING = "at least one of hosts, services, externalServices and externalWorkloads must be set"
TARGET_OF_NOTHING = "must not be set while services, externalServices and externalWorkloads are all empty; remove it"

RULES: Constraints = {
    VirtualDestination: (required("spec"),),
    VirtualDestinationSpec: (
        required("ports"),
        Rule(f"has(self.hosts) && self.hosts.size() > 0 || {_SELECTS}", STANDS_FOR_NOTHING),
        limit("hosts", maxItems=MOST_DISTINCT),
        limit("hosts[]", maxLength=LONGEST_HOST),
        Rule(is_host(), "is no full host name; write one such as cart.global, without wildcard", at="hosts[]"),
        Rule(
            "self.all(h, self.exists_one(g, g.lowerAscii() == h.lowerAscii()))",
            "a host is listed twice; remove one of them",
            at="hosts",
        ),
        limit("ports", minItems=1, maxItems=MOST_DISTINCT),
        Rule(
            "self.all(p, self.exists_one(q, p.number == q.number))",
            "a number is used by two ports; every number must differ",
            at="ports",
        ),
        Rule(
            f"{_SELECTS} || !self.ports.exists(p, has(p.targetPort))", f"targetPort {TARGET_OF_NOTHING}", about="ports"
        ),
    ),
    PortMapping: (
        required("number", "protocol"),
        limit("number", minimum=1, maximum=LARGEST_PORT),
        limit("protocol", enum=WRITTEN_PROTOCOLS),
    ),
}
