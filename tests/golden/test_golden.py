"""Inputs to exact outputs, one folder a case; every output is one that a real Envoy takes."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from random import Random

import envoy
import pytest
from envoy.config.bootstrap.v3 import bootstrap_pb2
from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.listener.v3 import listener_pb2
from envoy.config.route.v3 import route_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2 as hcm_pb2
from golden_case import Case, cases, for_istio, istio_outputs, outputs, translated
from google.protobuf import json_format

from fingerpost.objects import ObjectKey
from mgmt.translate.policy import DESTINATION_POLICIES
from mgmt.translate.scopes import ResourceKey

ENVOY = Path(envoy.__file__).parent / "_bin" / "envoy"
CASES = cases()
Objects = dict[ObjectKey, bytes]
_XDS = {"name": "xds", "type": "STATIC", "connect_timeout": "1s"}


def _param(case: Case) -> object:
    return pytest.param(case, id=case.name, marks=pytest.mark.spec(*case.statements))


@pytest.mark.parametrize("case", [_param(c) for c in CASES])
def test_golden(case: Case, update: bool) -> None:
    found = {**outputs(case, translated(case.objects())), **istio_outputs(for_istio(case.objects()))}
    if update:
        for file in case.folder.glob("*.out.yaml"):
            file.unlink()
        for name, text in found.items():
            (case.folder / name).write_text(text)
    assert found == {file.name: file.read_text() for file in case.folder.glob("*.out.yaml")}


@pytest.mark.spec("R-1", "R-2", "M-52")
@pytest.mark.parametrize("case", [pytest.param(c, id=c.name) for c in CASES])
def test_the_order_of_the_manifests_never_shows(case: Case) -> None:
    objects = case.objects()
    shuffled = dict(Random(case.name).sample(list(objects.items()), len(objects)))
    assert translated(shuffled) == translated(objects)
    assert for_istio(shuffled) == for_istio(objects)


def with_and_without(kind: str) -> Iterator[tuple[Objects, Objects]]:
    """The cases with policies of the kind, and the same without them."""
    for objects in (case.objects() for case in CASES):
        if any(key.type == kind for key in objects):
            yield objects, {key: body for key, body in objects.items() if key.type != kind}


@pytest.mark.parametrize("kind", [policy.type for policy in DESTINATION_POLICIES])
def test_a_policy_changes_what_an_envoy_gets(kind: str) -> None:
    """Of one that selects and counts but is not written, the status would say ACCEPTED."""
    assert any(translated(a).gateways != translated(b).gateways for a, b in with_and_without(kind))


@pytest.mark.parametrize("kind", [policy.type for policy in DESTINATION_POLICIES])
def test_a_policy_changes_what_istio_gets(kind: str) -> None:
    assert any(for_istio(a).objects != for_istio(b).objects for a, b in with_and_without(kind))


def _bootstrap(resources: dict[ResourceKey, bytes]) -> str:
    """What is offered over xDS, as one static configuration; RDS becomes inline, all else is as it is."""
    bootstrap = bootstrap_pb2.Bootstrap()
    bootstrap.node.id = bootstrap.node.cluster = "golden"
    ads = bootstrap.dynamic_resources.ads_config
    ads.api_type = ads.GRPC
    ads.grpc_services.add().envoy_grpc.cluster_name = "xds"
    json_format.ParseDict(_XDS, bootstrap.static_resources.clusters.add())
    for (kind, _), body in resources.items():
        if kind == "cluster":
            bootstrap.static_resources.clusters.append(cluster_pb2.Cluster.FromString(body))
        elif kind == "listener":
            listener = bootstrap.static_resources.listeners.add()
            listener.CopyFrom(listener_pb2.Listener.FromString(body))
            for chain in listener.filter_chains:
                _inline(chain, resources)
    return str(json_format.MessageToJson(bootstrap))


def _inline(chain: listener_pb2.FilterChain, resources: dict[ResourceKey, bytes]) -> None:
    for network_filter in chain.filters:
        if not network_filter.typed_config.Is(hcm_pb2.HttpConnectionManager.DESCRIPTOR):
            continue
        manager = hcm_pb2.HttpConnectionManager()
        network_filter.typed_config.Unpack(manager)
        body = resources["routes", manager.rds.route_config_name]
        manager.route_config.CopyFrom(route_pb2.RouteConfiguration.FromString(body))
        network_filter.typed_config.Pack(manager)


@pytest.mark.envoy
def test_envoy_takes_every_output(tmp_path: Path) -> None:
    seen: set[str] = set()
    for case in CASES:
        for cluster, gateways in translated(case.objects()).gateways.items():
            for name, resources in gateways.items():
                text = _bootstrap(dict(resources))
                if text in seen:
                    continue
                seen.add(text)
                config = tmp_path / f"{len(seen)}.json"
                config.write_text(text)
                command = [str(ENVOY), "--mode", "validate", "-c", str(config), "-l", "error", "--use-dynamic-base-id"]
                done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
                assert done.returncode == 0, f"{case.name} {cluster}/{name}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
    assert seen
