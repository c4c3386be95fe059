"""DestinationRule: subsets, TLS towards endpoints and destination policies (destinations.md §§3.1, 5.5, 7, 8.3)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from fingerpost.objects import ObjectKey
from fingerpost.problems import Problem
from mgmt.translate.emit.istio.destination import External, Labels, Local, Port, VirtualHost
from mgmt.translate.emit.istio.labels import Site
from mgmt.translate.emit.istio.names import joined, labelled
from mgmt.translate.emit.istio.objects import HERE, Emitted, build, cannot, seconds
from mgmt.translate.ir import ClientTls, Destination, DestinationSettings
from mgmt.translate.policy import outlier_detection_policy

KIND = "DestinationRule"
_LONGEST_EJECTION_MS = 300_000  # the proxy's own limit, for which Istio has no field


def _subsets(ref: ObjectKey, used: Iterable[Labels]) -> tuple[list[dict[str, Any]], list[Problem]]:
    found: dict[str, Labels] = {}
    problems = []
    for labels in sorted({labels for labels in used if labels}):
        name = labelled(labels)
        if found.setdefault(name, labels) != labels:
            text = (
                f"subsets {dict(found[name])} and {dict(labels)} have one name in Istio, {name}; the second means the "
            )
            problems.append(cannot(ref, "", f"{text}first there, so use values of letters, digits and -"))
    return [{"name": name, "labels": dict(labels)} for name, labels in sorted(found.items())], problems


def emit_service_rule(
    site: Site,
    service: ObjectKey,
    used: Iterable[Destination],
    settings: Iterable[tuple[int, DestinationSettings]] = (),
) -> Emitted:
    """For the gateways of one namespace. `used` are all destinations of that Service in routes seen there, `settings`
    what policies say of their ports; without a subset and a policy no object is needed.
    """
    used = tuple(used)
    subsets, problems = _subsets(service, (d.subset for d in used))
    ports = []
    for number, found in settings:
        setting, limits = _policies(service, found)
        problems += limits
        if setting:
            ports.append({"port": {"number": number}, **setting})
    if not subsets and not ports:
        return Emitted()
    host = used[0].host
    spec: dict[str, Any] = {"host": host, "exportTo": HERE}
    if ports:
        spec["trafficPolicy"] = {"portLevelSettings": ports}
    if subsets:
        spec["subsets"] = subsets
    name = joined(host, service.namespace, site.workspace)
    return Emitted((build(KIND, site, name, [service], spec),), tuple(problems))


def emit_virtual_rule(
    site: Site, found: VirtualHost, ports: Sequence[Port], local: Local | None, audience: list[str]
) -> Emitted:
    """Only where there is something to say. An explicit mutual TLS counts for all endpoints, so it must not be said
    while some of them are plain.
    """
    mutual = found.mutual and not found.external and (local is None or local.all_sidecars)
    settings, problems = [], []
    for port in ports:
        setting, limits = _port_settings(found.parent, port)
        problems += limits
        if mutual:
            setting["tls"] = {"mode": "ISTIO_MUTUAL"}
            if found.identities:
                setting["tls"]["subjectAltNames"] = list(found.identities)
        if setting:
            settings.append({"port": {"number": port.number}, **setting})
    subsets, more = _subsets(found.parent, found.subsets)
    problems += more
    spec: dict[str, Any] = {"host": found.host, "exportTo": audience}
    if settings:
        spec["trafficPolicy"] = {"portLevelSettings": settings}
    if subsets:
        spec["subsets"] = subsets
    if not settings and not subsets:
        return Emitted()
    kind = () if found.parent.kind == "Service" else ("virtual-destination",)
    name = joined(found.host, *kind, found.parent.namespace, found.workspace)
    return Emitted((build(KIND, site, name, [found.parent], spec),), tuple(problems))


def emit_external_rules(site: Site, found: External, hosts: Sequence[str]) -> Emitted:
    parent = found.parent
    settings: list[dict[str, Any]] = []
    problems: list[Problem] = []
    for port in found.ports:
        setting, limits = _port_settings(parent, port)
        problems += limits
        if setting:
            settings.append({"port": {"number": port.number}, **setting})
    if not settings:
        return Emitted()
    objects = tuple(
        build(
            KIND,
            site,
            joined("externalservice", parent.name, parent.namespace, parent.cluster, host, site.workspace),
            [parent],
            {"host": host, "exportTo": HERE, "trafficPolicy": {"portLevelSettings": settings}},
        )
        for host in hosts
    )
    return Emitted(objects, tuple(problems))


def _port_settings(ref: ObjectKey, port: Port) -> tuple[dict[str, Any], list[Problem]]:
    out, problems = _policies(ref, port.settings)
    if port.tls is not None:
        out["tls"] = client_tls(port.tls)
        if port.tls.host_sni:
            text = f"port {port.number} names no sni: Istio uses the host of the request, an Envoy gateway that of the "
            problems.append(cannot(ref, "spec.ports.clientsideTls.sni", f"{text}endpoint dialled; set sni"))
    return out, problems


def _policies(destination: ObjectKey, settings: DestinationSettings) -> tuple[dict[str, Any], list[Problem]]:
    out: dict[str, Any] = {}
    problems: list[Problem] = []
    if settings.prefer_locality:
        out["loadBalancer"] = {"localityLbSetting": {"enabled": True}}
    if (outlier := settings.outlier_detection) is not None:
        out["outlierDetection"] = detection = {
            "consecutive5xxErrors": outlier.consecutive_errors,
            "interval": seconds(outlier.interval_ms),
            "baseEjectionTime": seconds(outlier.base_ejection_ms),
        }
        if outlier.max_ejection_percent is not None:
            detection["maxEjectionPercent"] = outlier.max_ejection_percent
        if outlier.gateway_errors:
            detection["consecutiveGatewayErrors"] = outlier.gateway_errors
        if outlier.base_ejection_ms > _LONGEST_EJECTION_MS:
            text = (
                f"{seconds(outlier.base_ejection_ms)} counts as 300s for {destination} at Istio gateways, which have "
                "no field for the longest ejection; write 300s or less"
            )
            problems += _of_policy(settings, outlier_detection_policy.TYPE, "spec.config.baseEjectionTime", text)
    return out, problems


def _of_policy(settings: DestinationSettings, type_: str, path: str, text: str) -> list[Problem]:
    """A finding about the policy that is in force: its destination lacks the field, and a Service any status."""
    return [cannot(policy, path, text) for policy in settings.policies if policy.type == type_]


def client_tls(tls: ClientTls) -> dict[str, Any]:
    own = "MUTUAL" if tls.credential or tls.certificate_file else "SIMPLE"
    fields = {
        "sni": tls.sni,
        "clientCertificate": tls.certificate_file,
        "privateKey": tls.key_file,
        "caCertificates": tls.ca_file,
        "credentialName": tls.credential,
    }
    out: dict[str, Any] = {
        "mode": "ISTIO_MUTUAL" if tls.mesh_certificate else own,
        **{name: value for name, value in fields.items() if value},
    }
    if tls.verify or tls.mesh_certificate:
        if tls.subject_alt_names:
            out["subjectAltNames"] = list(tls.subject_alt_names)
    else:
        out["insecureSkipVerify"] = True
    return out
