"""ExternalService: either hosts or addresses, ports, and TLS that can be originated (destinations.md §8.1)."""

from __future__ import annotations

from fingerpost.api.limits import LARGEST_PORT, LONGEST_HOST, LONGEST_NAME, MOST_DISTINCT, MOST_HOSTS
from fingerpost.api.networking.external_service import (
    EgressGatewayRoutes,
    ExternalService,
    ExternalServiceSpec,
    Port,
    TlsConfig,
)
from fingerpost.crd.constraints import Constraints, Rule, limit, required
from fingerpost.crd.rules.common import WRITTEN_PROTOCOLS, is_host

_HOSTS = "has(self.hosts) && self.hosts.size() > 0"
_ADDRESSES = "has(self.addresses) && self.addresses.size() > 0"
_SELECTOR = "has(self.selector) && self.selector.size() > 0"
_NAMED_TARGET = (
    "has(p.targetPort) && has(p.targetPort.name) && p.targetPort.name != ''"
    " && (!has(p.targetPort.number) || p.targetPort.number == 0)"
)
_EGRESS = "has({0}.egressGatewayRoutes)"
_MATCH = (
    "(has({0}.egressGatewayRoutes.portMatch) && {0}.egressGatewayRoutes.portMatch != 0"
    " ? {0}.egressGatewayRoutes.portMatch : 80)"
)

BOTH = "hosts and addresses are set together, but they exclude each other; keep one of them"
NEITHER = "neither hosts nor addresses is set; write the host names or the IPs of the service"

RULES: Constraints = {
    ExternalService: (required("spec"),),
    ExternalServiceSpec: (
        Rule(f"!({_HOSTS} && {_ADDRESSES})", BOTH),
        Rule(f"{_HOSTS} || {_ADDRESSES}", NEITHER),
        limit("hosts", maxItems=MOST_HOSTS),
        limit("hosts[]", maxLength=LONGEST_HOST),
        Rule(
            is_host("(self.startsWith('*.') ? self.substring(2) : self)"),
            "is no host name; write one such as example.com or *.example.com",
            at="hosts[]",
        ),
        limit("addresses", maxItems=MOST_HOSTS),
        limit("addresses[]", maxLength=LONGEST_HOST),
        Rule("isIP(self) || isCIDR(self)", "is neither an IP nor a range such as 192.0.2.0/24", at="addresses[]"),
        limit("ports", maxItems=MOST_DISTINCT),
        Rule(
            "self.all(p, self.exists_one(q, p.number == q.number))",
            "a number is used by two ports; every number must differ",
            at="ports",
        ),
        Rule(
            "self.all(p, !has(p.name) || p.name == '' || self.exists_one(q, has(q.name) && q.name == p.name))",
            "a name is used by two ports; every name must differ",
            at="ports",
        ),
        Rule(
            f"self.all(p, !{_EGRESS.format('p')}"
            f" || self.exists_one(q, {_EGRESS.format('q')} && {_MATCH.format('p')} == {_MATCH.format('q')}))",
            "a portMatch is used by two ports; every portMatch must differ",
            at="ports",
        ),
        Rule(
            f"{_SELECTOR} || !has(self.ports) || !self.ports.exists(p, {_NAMED_TARGET})",
            "a name as targetPort needs ExternalEndpoints, but selector is empty; use a number",
            about="ports",
        ),
        Rule(
            f"{_HOSTS} || !has(self.ports) || !self.ports.exists(p, has(p.egressGatewayRoutes))",
            "egressGatewayRoutes needs hosts; a service known by addresses only cannot be reached through a gateway",
            about="ports",
        ),
    ),
    Port: (
        required("number", "protocol"),
        limit("number", minimum=1, maximum=LARGEST_PORT),
        limit("name", maxLength=LONGEST_NAME),
        limit("protocol", enum=WRITTEN_PROTOCOLS),
        Rule(
            "!has(self.egressGatewayRoutes) || self.protocol.upperAscii() in ['HTTP', 'HTTP2', 'HTTPS']",
            "egressGatewayRoutes needs protocol HTTP, HTTP2 or HTTPS",
            about="egressGatewayRoutes",
        ),
    ),
    EgressGatewayRoutes: (limit("portMatch", maximum=LARGEST_PORT),),
    TlsConfig: (
        Rule(
            "!has(self.mode) || self.mode != 'MUTUAL' || has(self.credentialName) && self.credentialName != '' || "
            "has(self.clientCertificate) && self.clientCertificate != '' && has(self.privateKey) && "
            "self.privateKey != ''",
            "mode MUTUAL needs clientCertificate and privateKey; set both files, or credentialName",
        ),
        *(
            Rule(
                f"!has(self.mode) || self.mode != 'ISTIO_MUTUAL' || !has(self.{name}) || self.{name} == ''",
                f"mode ISTIO_MUTUAL brings its own certificates; remove {name}",
                about=name,
            )
            for name in ("clientCertificate", "privateKey", "caCertificates")
        ),
    ),
}
