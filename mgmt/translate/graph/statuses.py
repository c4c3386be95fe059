"""The status of every user's object, from everything that was found about it on the way."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from fingerpost.objects import ObjectKey
from fingerpost.problems import Problem, Reporter, Severity
from mgmt.translate.engine import Collection, Context, Engine
from mgmt.translate.graph.destinations import DestinationGraph
from mgmt.translate.graph.gateways import GatewayGraph
from mgmt.translate.graph.inputs import (
    EXTERNAL_ENDPOINT,
    KUBERNETES_CLUSTER,
    NAMESPACE,
    OUTLIER_DETECTION,
    ROUTE_TABLE,
    SETTINGS,
    USERS,
    VIRTUAL_GATEWAY,
    WORKSPACE,
    Decoded,
    Inputs,
)
from mgmt.translate.graph.istio import IstioGraph
from mgmt.translate.graph.ownership import OwnershipGraph, Place
from mgmt.translate.graph.policies import PolicyGraph
from mgmt.translate.graph.tables import TableGraph
from mgmt.translate.graph.world import ViewGraph
from mgmt.translate.policy import outlier_detection_policy
from mgmt.translate.routing import route_table
from mgmt.translate.routing.destination_views import EXTERNAL_SERVICE, VIRTUAL_DESTINATION
from mgmt.translate.routing.external_services import outside_fleet
from mgmt.translate.routing.federation import federation_problem, reach_problems
from mgmt.translate.routing.listeners import port_problems
from mgmt.translate.routing.virtual_destinations import clash_problem, host_claims, service_name_problems
from mgmt.translate.status import Status, fold
from mgmt.translate.workspace.ownership import membership_problem
from mgmt.translate.workspace.settings import is_global
from mgmt.translate.workspace.standing import misplaced, standing

Found = tuple[list[Problem], dict[str, Any]]  # problems, the kind's own counts


class StatusGraph:
    """One step per kind. `place` tells which Workspaces count."""

    def __init__(
        self,
        engine: Engine,
        inputs: Inputs,
        place: Place,
        owners: OwnershipGraph,
        gateways: GatewayGraph,
        views: ViewGraph,
        tables: TableGraph,
        policies: PolicyGraph,
        destinations: DestinationGraph,
        istio: IstioGraph,
    ) -> None:
        self._inputs, self._place, self._owners, self._gateways = inputs, place, owners, gateways
        self._views, self._tables, self._policies, self._destinations = views, tables, policies, destinations
        self._istio = istio
        self._last = fold((), 0)
        kinds = {
            ROUTE_TABLE: self._table,
            VIRTUAL_GATEWAY: self._virtual_gateway,
            VIRTUAL_DESTINATION: self._virtual_destination,
            EXTERNAL_SERVICE: self._external_service,
            EXTERNAL_ENDPOINT: self._nothing,
            OUTLIER_DETECTION: self._policy,
        }
        missing = set(USERS) - {*kinds, WORKSPACE, SETTINGS, KUBERNETES_CLUSTER}
        if missing:
            raise TypeError(f"kinds with a model but without a status step would be accepted in silence: {missing}")
        self.collections: list[Collection[ObjectKey, Status]] = []
        for type_, more in kinds.items():
            run = self._owned(more)
            self.collections.append(engine.step(f"status {type_}", inputs[type_], run))
        self.collections.append(engine.step(f"status {WORKSPACE}", inputs[WORKSPACE], self._workspace))
        self.collections.append(engine.step(f"status {SETTINGS}", inputs[SETTINGS], self._settings))
        self.collections.append(engine.step(f"status {KUBERNETES_CLUSTER}", inputs[KUBERNETES_CLUSTER], self._cluster))
        self.collections.append(engine.step("status of others", inputs.others, self._other))

    def _owned(self, more: Any) -> Any:
        def run(context: Context, key: ObjectKey, decoded: Decoded) -> dict[ObjectKey, Status]:
            ownership = self._owners.ownership(context, key)
            problems, counts = list(decoded.problems), {}
            pending = membership_problem(key, ownership)
            if pending is not None:
                problems.append(pending)
            elif decoded.usable:
                found, counts = more(context, key, ownership.workspace)
                problems += found
                limits = context.get(self._istio.problems, key)
                problems += limits or ()
            status = fold(dict.fromkeys(problems), decoded.generation, ownership.workspace or "", counts)
            if status != self._last:  # most are told the same
                self._last = status
            return {key: self._last}

        return run

    def _nothing(self, context: Context, key: ObjectKey, workspace: str) -> Found:
        return [], {}

    def _table(self, context: Context, key: ObjectKey, workspace: str) -> Found:
        info = context.get(self._tables.tables, key)
        served = context.get(self._tables.served, key)
        bound = context.by(self._tables.bound_by_table, key)
        frozen = context.get(self._tables.frozen, key)
        problems = [frozen.problem(key)] if frozen else []
        problems += info.plan.problems if info else ()
        for _, binding in sorted(bound.items()):
            problems += binding.problems
        sites = context.by(self._istio.routes.sites_by_table, key).values()
        ports = (served.ports if served else frozenset()).union(*(site.ports for site in sites))
        if served:
            problems += served.problems
        if info and ports:
            problems += route_table.port_problems(info.plan, ports)
        elif info and any(binding.bindings for binding in bound.values()):
            # No gateway serves it yet; what is wrong shows all the same.
            resolved, warnings = self._tables.resolved(context, info, info.workspace, key.cluster)
            problems += (*resolved.problems, *warnings)
        problems += self._shared_hosts(context, key)
        counts = {
            "numAppliedRoutePolicies": {},
            "numParentRouteTables": 0,
            "ownedByWorkspace": workspace,
            "numAllowedVirtualGateways": sum(bool(b.bindings) for b in bound.values()),
        }
        return problems, counts

    def _shared_hosts(self, context: Context, key: ObjectKey) -> Iterable[Problem]:
        others: dict[tuple[str, ObjectKey], None] = {}
        for (route_class, _), contribution in context.by(self._tables.contributions_by_table, key).items():
            for host in contribution.hosts:
                for _, table in context.by(self._tables.contributions_by_host, (route_class, host)):
                    if table != key:
                        others[host, table] = None
        report = Reporter(key)
        for host, table in sorted(others):
            message = f"host {host} is also served by RouteTable {table.namespace}/{table.name}"
            report.warn("spec.hosts", "HostShared", message, located=True)
        return report.problems

    def _virtual_gateway(self, context: Context, key: ObjectKey, workspace: str) -> Found:
        view = context.get(self._gateways.virtual, key)
        selection = context.get(self._gateways.selections, key)
        if view is None or selection is None:
            return [], {}
        problems = [*view.problems, *selection.problems]
        planes = (self._gateways.envoy, self._istio.routes.placed)
        placements = sorted(
            (item for plane in planes for item in context.by(plane.by_virtual, key).items()), key=lambda item: item[0]
        )
        problems += port_problems(key, view.plans, [p.misses for _, p in placements], selection.implicit)
        for (_, gateway), _placement in placements:
            plans = [planned for plane in planes if (planned := context.get(plane.plans, gateway))]
            problems += [p for planned in plans for p in planned.problems if p.ref == key]
        bound = context.by(self._tables.bound_by_gateway, key)
        counts = {
            "routeTablesCount": len(bound),
            "selectedWorkloadsCount": len(selection.selected),
            "externalServicesCount": 0,
        }
        return problems, counts

    def _virtual_destination(self, context: Context, key: ObjectKey, workspace: str) -> Found:
        view = context.get(self._views.virtual, key)
        backing = context.get(self._destinations.backing, key)
        if view is None or backing is None:
            return [], {}
        problems = [*backing.problems]
        domains = [c.domain for c in self._owners.all_clusters(context).values()]
        problems += service_name_problems(view, domains)
        problems += self._clashes(context, workspace, view)
        for _, built in sorted(context.by(self._destinations.built_by_object, key).items(), key=_by_name):
            problems += built.problems
        policies = context.get(self._policies.of, workspace)
        counts = {
            "numAppliedDestinationPolicies": policies.applied_to(key) if policies else {},
            "numSelectedBackingServices": backing.selected,
            "ownedByWorkspace": workspace,
        }
        return problems, counts

    def _clashes(self, context: Context, workspace: str, view: Any) -> Iterable[Problem]:
        claims = context.get(self._views.hosts, workspace)
        if claims is None:
            return
        for claim in host_claims(view):
            holder = claims.lost.get(claim)
            if holder is not None:
                yield clash_problem(claim, holder)

    def _external_service(self, context: Context, key: ObjectKey, workspace: str) -> Found:
        view = context.get(self._views.external, key)
        backing = context.get(self._destinations.external, key)
        if view is None or backing is None:
            return [], {}
        policies = context.get(self._policies.of, workspace)
        counts = {
            "numAppliedDestinationPolicies": policies.applied_to(key) if policies else {},
            "numSelectedExternalEndpoints": backing.endpoints,
            "ownedByWorkspace": workspace,
            "numSelectedVirtualGateways": 0,
        }
        return [*backing.problems, *self._clashes(context, workspace, view)], counts

    def _policy(self, context: Context, key: ObjectKey, workspace: str) -> Found:
        policies = context.get(self._policies.of, workspace)
        if policies is None:
            return [], {"numSelectedDestinationPorts": 0}
        problems = [p for p in policies.problems if p.ref == key]
        domains = [c.domain for c in self._owners.all_clusters(context).values()]
        targets = {t.object for t, winner in policies.winners.get(key.type, {}).items() if winner == key}
        for target in sorted(t for t in targets if t.type == EXTERNAL_SERVICE):
            backing = context.get(self._destinations.external, target)
            hosts = outside_fleet(backing, domains) if backing else ()
            outside = outlier_detection_policy.outside_problem(key, target, hosts)
            problems += [outside] if outside else []
        return problems, {"numSelectedDestinationPorts": policies.selected.get(key, 0)}

    # ---------------------------------------------------------------- admin kinds

    def _workspace(self, context: Context, key: ObjectKey, decoded: Decoded) -> dict[ObjectKey, Status]:
        problems = list(decoded.problems)
        counts: dict[str, Any] = {}
        out_of_place = misplaced(key, self._place.cluster, self._place.admin_namespace)
        view = context.get(self._owners.workspaces, key.name)
        if out_of_place is not None:
            problems.append(out_of_place)
        elif view is not None:
            clusters = {name: c.labels for name, c in self._owners.all_clusters(context).items()}
            namespaces = context.all(self._inputs[NAMESPACE]).items()
            found = standing(
                view,
                clusters,
                [(k.cluster, k.name, d.labels) for k, d in namespaces],
                lambda c, n: self._owners.owner(context, ObjectKey("", c, n, "")),
            )
            problems += found.problems
            counts = {"numSelectedClusters": len(found.clusters), "numSelectedNamespaces": len(found.namespaces)}
        return {key: fold(problems, decoded.generation, key.name, counts)}

    def _settings(self, context: Context, key: ObjectKey, decoded: Decoded) -> dict[ObjectKey, Status]:
        problems = list(decoded.problems)
        if is_global(key, self._place.cluster, self._place.admin_namespace):
            return {key: fold(problems, decoded.generation, "", {})}
        ownership = self._owners.ownership(context, key)
        pending = membership_problem(key, ownership)
        workspace = ownership.workspace or ""
        if pending is not None:
            return {key: fold([*problems, pending], decoded.generation)}
        effective = context.get(self._owners.settings, workspace)
        if effective and key in effective.losers and effective.chosen:
            chosen = effective.chosen
            where = f"{chosen.name}.{chosen.namespace}.{chosen.cluster}"
            message = f"workspace {workspace} is already configured by {where}"
            problems.append(Problem(ref=key, severity=Severity.INVALID, code="AlreadyConfigured", message=message))
        selection = context.get(self._destinations.east_west, workspace)
        problems += [p for p in selection.problems if p.ref == key] if selection else []
        federated = context.by(self._views.federated_count_by_workspace, workspace)
        if effective and effective.chosen == key:
            problems += self._federation(context, key, workspace)
        counts = {
            "numSelectedEastWestGateways": len(selection.gateways) if selection else 0,
            "numFederatedServices": sum(federated.values()),
        }
        return {key: fold(problems, decoded.generation, workspace, counts)}

    def _federation(self, context: Context, key: ObjectKey, workspace: str) -> Iterable[Problem]:
        """What is wrong with the names of federated Services, which have no status of their own."""
        counts = context.by(self._views.federated_count_by_workspace, workspace)
        if not counts:
            return
        selection = context.get(self._destinations.east_west, workspace)
        mode = self._destinations.mode_of(context, workspace)
        asking = {gateway.key.cluster for gateway in context.by(self._gateways.by_workspace, workspace).values()}
        # A cluster that nobody could call from has nothing to be reached by.
        services = {cluster: n for (_, cluster), n in counts.items() if asking - {cluster}}
        yield from reach_problems(key, services, selection.gateways if selection else (), mode)
        claims = context.get(self._views.hosts, workspace)
        lost = {claim.key: claim for claim in claims.lost} if claims else {}
        for service, _ in sorted(context.by(self._views.federated_by_workspace, workspace)):
            if claims and service in lost:
                yield federation_problem(key, clash_problem(lost[service], claims.lost[lost[service]]))
            limits: tuple[Problem, ...] | None = context.get(self._istio.problems, service)
            for problem in limits or ():
                yield federation_problem(key, problem)

    def _cluster(self, context: Context, key: ObjectKey, decoded: Decoded) -> dict[ObjectKey, Status]:
        problems = list(decoded.problems)
        if (key.cluster, key.namespace) != (self._place.cluster, self._place.admin_namespace):
            message = f"clusters are only read from {self._place.admin_namespace} of the management cluster"
            problems.append(Problem(ref=key, severity=Severity.INVALID, code="Misplaced", message=message))
        return {key: fold(problems, decoded.generation)}

    def _other(self, context: Context, key: ObjectKey, decoded: Decoded) -> dict[ObjectKey, Status]:
        return {key: fold(decoded.problems, decoded.generation, self._owners.owner(context, key) or "")}


def _by_name(item: tuple[Any, Any]) -> str:
    return str(item[0].cluster_name)
