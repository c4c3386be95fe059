"""RouteTable: the table as a whole and its routes (routing.md §4.1, §4.2, §5, §6, §7.1, §18)."""

from __future__ import annotations

from fingerpost.api.limits import (
    LONGEST_BODY,
    LONGEST_HOST,
    MOST_DESTINATIONS,
    MOST_HOSTS,
    MOST_ROUTES,
    MOST_WORKLOAD_SELECTORS,
)
from fingerpost.api.networking.route_table import (
    DirectResponseAction,
    ForwardToAction,
    GraphQLAction,
    HTTPRoute,
    RouteTable,
    RouteTableSpec,
    TCPRoute,
    TLSForwardToAction,
    TLSRoute,
)
from fingerpost.crd.constraints import Constraints, Rule, limit, one_of, required
from fingerpost.crd.rules.common import is_wildcard_host

NOT_OF_CHILD = "The {} field must be empty or unset for delegated RouteTables."
NO_ROUTES = "At least one of http, tcp, or tls keys must be set."
DEFAULT_UNUSED = "defaultDestination can only be set for http routes with forwardTo actions."
DEFAULT_NEEDED = "defaultDestination must be set when http forwardTo actions without destinations are specified."
WORKLOAD_KIND = "Selector kind must be KUBE or not set."
DESTINATION_KIND = "selector kind must be KUBE or not set"
NO_DESTINATION = "At least one destination must be specified."
NO_REWRITE = "tcp routes have no path and no host to rewrite; remove it"
LABELS_ONLY = "workloads are selected by labels only; remove it"

_ROOT = "has(self.hosts) && self.hosts.size() > 0"
_DESTINATIONS = Rule(
    "has(self.forwardTo) && has(self.forwardTo.destinations) && self.forwardTo.destinations.size() > 0",
    NO_DESTINATION,
    about="forwardTo.destinations",
)

RULES: Constraints = {
    RouteTable: (required("spec"),),
    RouteTableSpec: (
        limit("hosts", maxItems=MOST_HOSTS),
        limit("hosts[]", maxLength=LONGEST_HOST),
        Rule(is_wildcard_host(), "is no host; write one such as www.example.com or *.example.com", at="hosts[]"),
        Rule(
            "!has(self.hosts) || !('*' in self.hosts) || has(self.virtualGateways) && self.virtualGateways.size() > 0",
            'hosts: "*" needs virtualGateways',
            about="hosts",
        ),
        *(
            Rule(f"{_ROOT} || !has(self.{name}) || self.{name}.size() == 0", NOT_OF_CHILD.format(name), about=name)
            for name in ("virtualGateways", "applyToDestinations")
        ),
        Rule(
            f"{_ROOT} || !has(self.failureMode) || self.failureMode == 'ROUTE_REPLACEMENT'",
            NOT_OF_CHILD.format("failureMode"),
            about="failureMode",
        ),
        Rule(
            " || ".join(f"has(self.{name}) && self.{name}.size() > 0" for name in ("http", "tcp", "tls")),
            NO_ROUTES,
        ),
        *(limit(name, maxItems=MOST_ROUTES) for name in ("http", "tcp", "tls")),
        Rule(
            "!has(self.defaultDestination) || has(self.http) && self.http.exists(r, has(r.forwardTo))",
            DEFAULT_UNUSED,
            about="defaultDestination",
        ),
        Rule(
            "has(self.defaultDestination) || !has(self.http) || !self.http.exists(r, has(r.forwardTo)"
            " && has(r.forwardTo.destinations) && r.forwardTo.destinations.size() == 0)",
            DEFAULT_NEEDED,
            about="defaultDestination",
        ),
        limit("workloadSelectors", maxItems=MOST_WORKLOAD_SELECTORS),
        Rule("!has(self.kind) || self.kind == 'KUBE'", WORKLOAD_KIND, at="workloadSelectors[]", about="kind"),
        *(
            Rule(
                f"!has(self.selector) || !has(self.selector.{escaped}) || self.selector.{escaped} == ''",
                LABELS_ONLY,
                at="workloadSelectors[]",
                about=f"selector.{name}",
            )
            for name, escaped in (
                ("name", "name"),
                ("namespace", "__namespace__"),
                ("cluster", "cluster"),
                ("workspace", "workspace"),
            )
        ),
        Rule("!has(self.kind) || self.kind == 'SERVICE'", DESTINATION_KIND, at="applyToDestinations[]", about="kind"),
    ),
    HTTPRoute: (
        one_of("forwardTo", "delegate", "redirect", "directResponse", "graphql"),
        limit("labels{}", maxLength=63, pattern="^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$"),
    ),
    ForwardToAction: (
        one_of("pathRewrite", "regexRewrite"),
        one_of("hostRewrite", "autoHostRewrite"),
        limit("destinations", maxItems=MOST_DESTINATIONS),
    ),
    DirectResponseAction: (
        required("status"),
        limit("status", minimum=100, maximum=599),
        limit("body", maxLength=LONGEST_BODY),
    ),
    GraphQLAction: (one_of("schema", "stitchedSchema"),),
    TCPRoute: (
        _DESTINATIONS,
        *(
            Rule(
                f"!has(self.forwardTo) || !has(self.forwardTo.{name}){unless}",
                NO_REWRITE,
                about=f"forwardTo.{name}",
            )
            for name, unless in (
                ("pathRewrite", " || self.forwardTo.pathRewrite == ''"),
                ("regexRewrite", ""),
                ("hostRewrite", " || self.forwardTo.hostRewrite == ''"),
                ("autoHostRewrite", " || !self.forwardTo.autoHostRewrite"),
            )
        ),
    ),
    TLSRoute: (_DESTINATIONS,),
    TLSForwardToAction: (limit("destinations", maxItems=MOST_DESTINATIONS),),
}
