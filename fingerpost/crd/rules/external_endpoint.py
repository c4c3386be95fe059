"""ExternalEndpoint: an address that can be dialled, and ports that can be told apart (destinations.md §8.2)."""

from __future__ import annotations

from fingerpost.api.limits import LARGEST_PORT, LONGEST_HOST, LONGEST_NAME, MOST_DISTINCT
from fingerpost.api.networking.external_endpoint import ExternalEndpoint, ExternalEndpointSpec, Port
from fingerpost.crd.constraints import Constraints, Rule, limit, required
from fingerpost.crd.rules.common import is_host

_UNIX = "self.startsWith('unix:///') && self.size() > 8"
ADDRESS = "is neither an IP, a host name without wildcard nor unix:///an/absolute/path"

RULES: Constraints = {
    ExternalEndpoint: (required("spec"),),
    ExternalEndpointSpec: (
        required("address"),
        limit("address", minLength=1, maxLength=LONGEST_HOST),
        Rule(f"{_UNIX} || isIP(self) || {is_host()}", ADDRESS, at="address"),
        limit("ports", maxItems=MOST_DISTINCT),
        Rule(
            "self.size() < 2 || self.all(p, has(p.name) && p.name != '')",
            "with several ports each needs a name",
            at="ports",
        ),
        Rule(
            "self.all(p, !has(p.name) || p.name == '' || self.exists_one(q, has(q.name) && q.name == p.name))",
            "a name is used by two ports; every name must differ",
            at="ports",
        ),
    ),
    Port: (
        required("number"),
        limit("number", minimum=1, maximum=LARGEST_PORT),
        limit("name", maxLength=LONGEST_NAME),
    ),
}
