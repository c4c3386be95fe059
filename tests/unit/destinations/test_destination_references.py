"""Which host and port a reference means, and what is said when it means none."""

from __future__ import annotations

import pytest
from destination_cases import TABLE, World, external, reference, service, virtual

from fingerpost.objects import ObjectKey
from mgmt.translate.ir import Destination
from mgmt.translate.routing import errors
from mgmt.translate.routing.destination_views import SERVICE
from mgmt.translate.routing.destinations import clusters_of_interest, reference_warnings, resolve
from mgmt.translate.routing.errors import RouteError

VD_SPEC = "{hosts: [cart.example], services: [{}], ports: [{number: 80, protocol: HTTP}, {number: 81, protocol: HTTP}]}"


def meant(text: str, world: World, *, gateway: str = "shop", cluster: str | None = "east") -> Destination:
    found = resolve(reference(text), TABLE, "shop", gateway, cluster, world)
    assert isinstance(found, Destination), found
    return found


def refused(text: str, world: World, *, gateway: str = "shop", cluster: str | None = "east") -> RouteError:
    found = resolve(reference(text), TABLE, "shop", gateway, cluster, world)
    assert isinstance(found, RouteError), found
    return found


@pytest.mark.spec("R-97", "D-5", "D-3", "R-98")
def test_name_alone_is_a_service_beside_the_table() -> None:
    world = World([service()])
    found = meant("{ref: {name: cart}}", world)
    assert found.object == ObjectKey(SERVICE, "east", "shop", "cart")
    assert (found.host, found.port, found.subset) == ("cart.shop.svc.east.local", 80, ())
    assert found.cluster_name == "outbound|80||cart.shop.svc.east.local"
    assert clusters_of_interest(reference("{ref: {name: cart}}"), TABLE) == {"east"}


@pytest.mark.spec("D-1", "D-2")
@pytest.mark.parametrize("gateway_cluster", ["west", None])
def test_service_of_another_cluster_is_not_federated(gateway_cluster: str | None) -> None:
    error = refused("{ref: {name: cart}}", World([service()]), cluster=gateway_cluster)
    assert error.kind == errors.DESTINATION
    for part in ("shop/cart", "in cluster east", "not federated"):
        assert part in error.reason


@pytest.mark.spec("D-3", "R-98")
def test_no_port_on_two_ports_is_refused() -> None:
    error = refused("{ref: {name: cart}}", World([service(ports="[{port: 80, name: a}, {port: 9090, name: b}]")]))
    assert error.kind == errors.PORT
    assert "80 (a), 9090 (b)" in error.reason


@pytest.mark.spec("D-4", "R-99")
def test_port_is_the_service_port_by_name_or_number() -> None:
    world = World([service(ports="[{port: 9080, name: http, targetPort: 8080}, {port: 9090, name: admin}]")])
    assert meant("{ref: {name: cart}, port: {name: http}}", world).port == 9080
    assert meant("{ref: {name: cart}, port: {number: 9080}}", world).port == 9080
    assert refused("{ref: {name: cart}, port: {number: 8080}}", world).kind == errors.PORT


def test_http_routes_take_external_services() -> None:
    ref = reference("{ref: {name: legacy}, kind: EXTERNAL_SERVICE}")
    world = World([external("{hosts: ['*.corp', legacy.corp], ports: [{number: 80, protocol: HTTP}]}")])
    assert resolve(ref, TABLE, "shop", "shop", None, world) == Destination(
        object=next(iter(world.views)), host="legacy.corp", port=80
    )


@pytest.mark.spec("D-7")
def test_virtual_destination_is_found_in_another_cluster_and_must_be_the_only_one() -> None:
    west, north = virtual(VD_SPEC, cluster="west"), virtual(VD_SPEC, cluster="north")
    text = "{ref: {name: cart}, kind: VIRTUAL_DESTINATION, port: {number: 80}}"
    assert meant(text, World([west]), cluster=None).object == west.key
    error = refused(text, World([west, north]))
    assert "ambiguous reference" in error.reason
    assert "north, west" in error.reason
    assert meant(text.replace("name: cart", "name: cart, cluster: west"), World([west, north])).object == west.key


@pytest.mark.spec("D-7", "W-46")
def test_an_object_out_of_reach_neither_counts_nor_shows() -> None:
    text = "{ref: {name: cart, namespace: other}, kind: VIRTUAL_DESTINATION, port: {number: 80}}"
    west = virtual(VD_SPEC, cluster="west")
    moved = [
        type(west)(key=west.key._replace(cluster=c, namespace="other"), created="", workspace="other", spec=west.spec)
        for c in ("east", "north", "west")
    ]
    world = World(moved, {moved[1].key: ["shop"]})
    assert meant(text, world).object == moved[1].key
    assert refused(text, World(moved)) == refused(text, World([]))


@pytest.mark.spec("D-8")
def test_subset_of_an_external_service_is_ignored_with_a_warning() -> None:
    text = "{ref: {name: legacy}, kind: EXTERNAL_SERVICE, subset: {v: a}}"
    world = World([external("{hosts: [legacy.corp], ports: [{number: 80, protocol: HTTP}]}")])
    assert meant(text, world).subset == ()
    assert "subset is ignored" in reference_warnings(reference(text))[0]
    assert reference_warnings(reference("{ref: {name: cart}, subset: {v: a}}")) == ()


@pytest.mark.spec("R-100")
def test_subset_name_is_sorted() -> None:
    found = meant("{ref: {name: cart}, subset: {version: v2, tier: a}}", World([service()]))
    assert found.cluster_name == "outbound|80|tier-a-version-v2|cart.shop.svc.east.local"


@pytest.mark.spec("R-155")
def test_missing_in_the_own_namespace() -> None:
    error = refused("{ref: {name: nope}}", World([]))
    assert error == RouteError(errors.DESTINATION, "destination Service shop/nope in cluster east not found")


@pytest.mark.spec("W-46", "W-41")
def test_missing_and_unshared_read_alike() -> None:
    text = "{ref: {name: db, namespace: data}}"
    missing, unshared = refused(text, World([])), refused(text, World([service("db", namespace="data")]))
    assert missing == unshared
    assert missing.reason == "Service db.data.east is not available in workspace shop"


@pytest.mark.spec("R-102", "D-94", "W-40")
def test_gateway_workspace_has_to_import_it_too() -> None:
    db = service("db")
    error = refused("{ref: {name: db}}", World([db]), gateway="gateways")
    assert "workspace shop" in error.reason
    assert "workspace gateways" in error.reason
    assert meant("{ref: {name: db}}", World([db], {db.key: ["gateways"]}), gateway="gateways").object == db.key
    assert meant("{ref: {name: db}}", World([db])).object == db.key


@pytest.mark.spec("D-43")
def test_loser_of_a_host_takes_no_requests() -> None:
    vd = virtual(VD_SPEC)
    world = World([vd])
    text = "{ref: {name: cart}, kind: VIRTUAL_DESTINATION, port: {number: 81}}"
    assert meant(text, world).port == 81
    world.holders["cart.example", "shop"] = vd.key._replace(name="older")
    assert "does not hold its host cart.example" in refused(text, world).reason


def test_a_bare_name_takes_no_requests() -> None:
    vd = virtual("{hosts: [cart.example], ports: [{number: 80, protocol: HTTP}]}")
    assert "selects no services" in refused("{ref: {name: cart}, kind: VIRTUAL_DESTINATION}", World([vd])).reason


def test_a_virtual_destination_cannot_take_the_cluster_of_a_service() -> None:
    host = "cart.shop.svc.east.local"
    vd = virtual(f"{{hosts: [{host}], services: [{{}}], ports: [{{number: 80, protocol: HTTP}}]}}")
    world = World([vd, service()])
    own = meant("{ref: {name: cart}}", world)
    borrowed = meant("{ref: {name: cart}, kind: VIRTUAL_DESTINATION}", world)
    assert own.host == borrowed.host == host
    assert own.cluster_name != borrowed.cluster_name
