"""East-west gateways: which ones a cluster has, how others dial them, and what they let in (destinations.md §4).

An east-west listener only ever leads to Services of its own cluster, so a request cannot be sent on to a third one
(§4.7).
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

import msgspec

from fingerpost.api.admin.workspace_settings import EastWestGatewaySelector, Options
from fingerpost.api.common import ClientMode, ObjectSelector, PortSelector
from fingerpost.api.internal.discovered_gateway import DiscoveredGatewaySpec, GatewayKind, GatewayPort
from fingerpost.objects import ObjectKey
from fingerpost.problems import Problem, Reporter
from mgmt.translate.ir import MESH, Address, Destination, Value
from mgmt.translate.routing.destination_views import NamedPort, describe_port, select_port
from mgmt.translate.routing.gateways import GatewayView
from mgmt.translate.workspace.selectors import labels_match, selector_matches
from mgmt.translate.workspace.seniority import seniority

_DEFAULT = EastWestGatewaySelector(selector=ObjectSelector(labels={"istio": "eastwestgateway"}))
_PASSTHROUGH_PORT = PortSelector(name="tls")
_TERMINATION_PORT = PortSelector(name="https")


class Mode(enum.Enum):
    """How callers speak with the gateway of another cluster (§4.2)."""

    AUTO = "auto"
    SNI_ROUTING = "sniRouting"
    TLS_TERMINATION = "tlsTermination"


class Dial(Value, frozen=True):
    """One mode's port of a gateway. `target` is the port on which the gateway listens, 0 when only the pods know it."""

    target: int
    addresses: tuple[Address, ...]


class EastWestGateway(Value, frozen=True):
    """A selected gateway. A mode whose port the Service lacks is None (D-25)."""

    key: ObjectKey
    kind: GatewayKind
    accounts: tuple[str, ...]
    passthrough: Dial | None
    termination: Dial | None

    def dial(self, mode: Mode) -> Dial | None:
        return self.passthrough if mode is Mode.SNI_ROUTING else self.termination


class EastWestSelection(NamedTuple):
    """`gateways` are sorted by key; their number is status.numSelectedEastWestGateways."""

    gateways: tuple[EastWestGateway, ...]
    problems: tuple[Problem, ...]


def effective_selectors(
    global_: Options | None, own: Options | None
) -> tuple[tuple[EastWestGatewaySelector, ...], bool]:
    """The list in force, and whether it searches all gateways of all clusters (that of the global settings does)."""
    if global_ is not None and global_.east_west_gateways:
        return global_.east_west_gateways, True
    if own is not None and own.east_west_gateways:
        return own.east_west_gateways, False
    return (_DEFAULT,), True


def select_east_west(
    settings: ObjectKey, selectors: Sequence[EastWestGatewaySelector], candidates: Iterable[GatewayView]
) -> EastWestSelection:
    """`settings` is the object that the problems are about. A gateway matched by several entries uses the first one's
    ports.
    """
    report = Reporter(settings)
    gateways = []
    for candidate in sorted(candidates, key=lambda c: c.key):
        index = next((i for i, s in enumerate(selectors) if _matches(s, candidate)), None)
        if index is None:
            continue
        gateway = _gateway(selectors[index], candidate)
        if gateway.passthrough is None and gateway.termination is None:
            report.warn(
                f"spec.options.eastWestGateways[{index}]",
                "GatewayPortNotFound",
                f"Service {candidate.key.namespace}/{candidate.key.name} in cluster {candidate.key.cluster} has "
                "neither port "
                f"{describe_port(selectors[index].port or _PASSTHROUGH_PORT)} nor port "
                f"{describe_port(selectors[index].tls_termination_port or _TERMINATION_PORT)}; "
                "add one, or set port or tlsTerminationPort",
            )
            continue
        gateways.append(gateway)
    return EastWestSelection(tuple(gateways), tuple(report.problems))


def without_taken(
    selection: EastWestSelection, settings: ObjectKey, taken: Callable[[ObjectKey], Collection[int]]
) -> EastWestSelection:
    """A port on which a VirtualGateway listens is not free for the traffic between clusters: with two listeners of one
    address Envoy would refuse both.
    """
    report = Reporter(settings)
    gateways = []
    for gateway in selection.gateways:
        port = gateway.termination.target if gateway.termination else 0
        if port and port in taken(gateway.key):
            gateway = msgspec.structs.replace(gateway, termination=None)  # noqa: PLW2901  (the same one, poorer)
            report.warn(
                "spec.options.eastWestGateways",
                "GatewayPortTaken",
                f"gateway service {gateway.key.namespace}/{gateway.key.name} in cluster {gateway.key.cluster} serves a "
                f"VirtualGateway on port {port} already; set tlsTerminationPort to a port of its own",
            )
        if gateway.passthrough is not None or gateway.termination is not None:
            gateways.append(gateway)
    return EastWestSelection(tuple(gateways), (*selection.problems, *report.problems))


def _matches(entry: EastWestGatewaySelector, candidate: GatewayView) -> bool:
    """`labels` against the Service's own labels; if that fails, against its selector (§4.1)."""
    selector = entry.selector or _DEFAULT.selector
    if selector is None or not selector_matches(
        ObjectSelector(
            name=selector.name, namespace=selector.namespace, cluster=selector.cluster, workspace=selector.workspace
        ),
        candidate.key,
        {},
        candidate.workspace,
    ):
        return False
    spec = candidate.spec
    return labels_match(selector.labels, spec.service_labels) or labels_match(selector.labels, spec.workload_labels)


def _gateway(entry: EastWestGatewaySelector, candidate: GatewayView) -> EastWestGateway:
    spec = candidate.spec
    return EastWestGateway(
        key=candidate.key,
        kind=spec.gateway_kind,
        accounts=tuple(sorted(spec.service_accounts)),
        passthrough=_dial(entry, entry.port or _PASSTHROUGH_PORT, spec),
        termination=_dial(entry, entry.tls_termination_port or _TERMINATION_PORT, spec),
    )


def _dial(entry: EastWestGatewaySelector, wanted: PortSelector, spec: DiscoveredGatewaySpec) -> Dial | None:
    number = select_port(wanted, (NamedPort(p.number, p.name) for p in spec.ports))
    port: GatewayPort | None = next((p for p in spec.ports if p.number == number), None)
    if port is None:
        return None
    if entry.host_info_overrides:
        found = {Address(host=o.addr, port=o.port, tls_mode=MESH) for o in entry.host_info_overrides}
    else:
        found = {
            Address(host=a.address, port=a.ports.get(str(port.number), port.number), region=a.region, tls_mode=MESH)
            for a in spec.external_addresses
        }
    return Dial(target=port.target, addresses=tuple(sorted(found, key=lambda a: (a.host, a.port))))


def client_mode(own: ClientMode | None, global_: Options | None, workspace: Options | None) -> Mode:
    """The VirtualDestination's word counts first, then the global settings', then the workspace's (D-23)."""
    for mode in (
        own,
        global_.virtual_dest_client_mode if global_ else None,
        workspace.virtual_dest_client_mode if workspace else None,
    ):
        if mode is None:
            continue
        if mode.tls_termination is not None:
            return Mode.TLS_TERMINATION
        if mode.sni_routing is not None:
            return Mode.SNI_ROUTING
        if mode.auto is not None:
            return Mode.AUTO
    return Mode.AUTO


def mode_towards(mode: Mode, kind: GatewayKind) -> Mode | None:
    """The mode in force towards a gateway of that kind; None where it cannot work: behind a plain Envoy no pod has a
    sidecar.
    """
    if kind is GatewayKind.ENVOY:
        return None if mode is Mode.SNI_ROUTING else Mode.TLS_TERMINATION
    return Mode.SNI_ROUTING if mode is Mode.AUTO else mode


def remote_addresses(
    vd: ObjectKey, cluster: str, gateways: Iterable[EastWestGateway], mode: Mode
) -> tuple[tuple[Address, ...], tuple[Problem, ...]]:
    """How other clusters reach the destination in `cluster`: an endpoint per address of each of its gateways (D-22)."""
    report = Reporter(vd)
    found: set[Address] = set()
    for gateway in gateways:
        where = f"{gateway.key.namespace}/{gateway.key.name}"
        towards = mode_towards(mode, gateway.kind)
        dial = gateway.dial(towards) if towards else None
        if towards is None:
            reason = f"sniRouting cannot work through the Envoy gateway {where}; use tlsTermination or auto"
        elif dial is None:
            reason = f"gateway {where} has no port for {towards.value}; add it or change clientMode"
        elif not dial.addresses:
            reason = f"gateway {where} has no address that others can reach; set hostInfoOverrides or its Service type"
        else:
            found.update(dial.addresses)
            continue
        report.warn(
            "spec.clientMode", "GatewayUnusable", f"cluster {cluster} adds no endpoints for other clusters: {reason}"
        )
    return tuple(sorted(found, key=lambda a: (a.host, a.port, a.region))), tuple(report.problems)


def sni_of(port: int, subset_name: str, host: str) -> str:
    """The same bytes as istiod's (§4.3). `port` is the destination's, not that of the Service behind it."""
    return f"outbound_.{port}_.{subset_name}_.{host}"


def spiffe(trust_domain: str, namespace: str, account: str) -> str:
    return f"spiffe://{trust_domain}/ns/{namespace}/sa/{account}"


def accepted_identities(
    backers: Mapping[ObjectKey, Sequence[str]],
    gateways: Iterable[EastWestGateway],
    mode: Mode,
    trust_domain: Callable[[str], str],
) -> tuple[str, ...]:
    """Whom callers accept as the other end (§4.4): the pods' service accounts, and those of the gateways that end TLS
    on their behalf.

    `backers` maps each backing Service to its ready pods' service accounts. The gateways are those of all clusters
    that back the destination.
    """
    found = {
        spiffe(trust_domain(service.cluster), service.namespace, account)
        for service, accounts in backers.items()
        for account in accounts
    }
    for gateway in gateways:
        if mode_towards(mode, gateway.kind) is Mode.TLS_TERMINATION:
            domain = trust_domain(gateway.key.cluster)
            found.update(spiffe(domain, gateway.key.namespace, account) for account in gateway.accounts)
    return tuple(sorted(found))


class Exposure(Value, frozen=True):
    """A port of a destination, by one of its hosts, that callers in other clusters may ask an east-west gateway for."""

    owner: ObjectKey  # the VirtualDestination
    created: str
    host: str
    port: int
    local: Destination  # the Service of the gateway's own cluster


class EastWestChain(NamedTuple):
    """One filter chain of an east-west listener: this SNI, and no other, leads to that cluster."""

    sni: str
    cluster_name: str
    contribution: str


def hosts_held(exposures: Iterable[Exposure]) -> dict[str, ObjectKey]:
    """A gateway tells destinations apart by host alone, so the oldest owner has the host to itself (§5.3, D-91)."""
    holders: dict[str, ObjectKey] = {}
    for exposure in sorted(exposures, key=lambda e: seniority(e.created, e.owner)):
        holders.setdefault(exposure.host, exposure.owner)
    return holders


def east_west_chains(exposures: Iterable[Exposure]) -> tuple[EastWestChain, ...]:
    """For the exposures of one gateway; sorted by SNI. None left: no listener."""
    known = tuple(exposures)
    holders = hosts_held(known)
    chains: dict[str, EastWestChain] = {}
    for e in sorted(known, key=lambda e: (e.owner, e.local.subset)):
        if holders[e.host] == e.owner:
            sni = sni_of(e.port, e.local.subset_name, e.host)
            chains.setdefault(sni, EastWestChain(sni, e.local.cluster_name, "/".join(e.owner)))
    return tuple(chains[sni] for sni in sorted(chains))
