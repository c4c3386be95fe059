"""Import, export and which settings are in force."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
import pytest
import yaml

from fingerpost.api.admin.workspace_settings import WorkspaceSettingsSpec
from fingerpost.api.common import ObjectSelector
from fingerpost.objects import ObjectKey
from mgmt.translate.workspace.selectors import selector_matches
from mgmt.translate.workspace.settings import (
    NOTHING,
    SettingsView,
    effective_settings,
    is_global,
    last_valid,
    pick_settings,
)
from mgmt.translate.workspace.sharing import (
    SHAREABLE,
    WorkspaceId,
    sharing_between,
)

INGRESS = {"allow_ingress": "true"}
GATEWAYS = WorkspaceId("gateways")
SHOP = WorkspaceId("shop", INGRESS)
EXPOSE = {"expose": "true"}


def settings(text: str) -> WorkspaceSettingsSpec:
    return msgspec.convert(yaml.safe_load(text), WorkspaceSettingsSpec)


OF_GATEWAYS = settings("""
importFrom:
- workspaces: [{selector: {allow_ingress: "true"}}]
  resources: [{kind: SERVICE}, {kind: ALL, labels: {expose: "true"}}]
exportTo:
- workspaces: [{selector: {allow_ingress: "true"}}]
  resources: [{kind: SERVICE}]
""")
OF_SHOP = settings("""
importFrom:
- workspaces: [{name: gateways}]
  resources: [{kind: SERVICE}]
exportTo:
- workspaces: [{name: gateways}]
  resources: [{kind: SERVICE, labels: {app: web}}, {kind: ALL, labels: {expose: "true"}}]
""")


def obj(kind: str, name: str, cluster: str = "east") -> ObjectKey:
    group = {"Service": "core", "FailoverPolicy": "resilience.policy.gloo.solo.io"}.get(kind, "networking.gloo.solo.io")
    return ObjectKey(f"{group}/{kind}", cluster, "shop", name)


def shares(
    exports: WorkspaceSettingsSpec | None,
    imports: WorkspaceSettingsSpec | None,
    owner: WorkspaceId,
    importer: WorkspaceId,
    key: ObjectKey,
    labels: Mapping[str, str],
) -> bool:
    way = sharing_between(exports, imports, owner, importer)
    return way is not None and way.admits(key, labels)


def shop_shares(key: ObjectKey, labels: Mapping[str, str], exports: WorkspaceSettingsSpec | None = OF_SHOP) -> bool:
    return shares(exports, OF_GATEWAYS, SHOP, GATEWAYS, key, labels)


@pytest.mark.spec("W-29", "W-36")
@pytest.mark.parametrize(
    ("key", "labels", "available"),
    [
        (obj("Service", "web"), {"app": "web"}, True),
        (obj("Service", "db"), {"app": "db"}, False),
        (obj("RouteTable", "web"), EXPOSE, True),
        (obj("RouteTable", "draft"), {}, False),
        (obj("VirtualDestination", "cart"), EXPOSE, True),
        (obj("FailoverPolicy", "fo"), EXPOSE, False),
    ],
    ids=lambda v: v.name if isinstance(v, ObjectKey) else "",
)
def test_the_example_table(key: ObjectKey, labels: Mapping[str, str], available: bool) -> None:
    assert shop_shares(key, labels) is available
    if available:
        assert not shop_shares(key, {}), "a label taken away withdraws the object"


@pytest.mark.spec("W-29")
def test_the_servers_of_gateways_are_available_in_shop() -> None:
    server = ObjectKey("core/Service", "east", "gw", "ext-auth-service")
    assert shares(OF_GATEWAYS, OF_SHOP, GATEWAYS, SHOP, server, {})


@pytest.mark.spec("W-30")
def test_one_side_alone_shares_nothing() -> None:
    web, labels = obj("Service", "web"), {"app": "web"}
    for exports, imports in ((OF_SHOP, NOTHING), (NOTHING, OF_GATEWAYS), (OF_SHOP, None), (None, OF_GATEWAYS)):
        assert not shares(exports, imports, SHOP, GATEWAYS, web, labels)


@pytest.mark.spec("W-31")
def test_the_label_of_the_workspace_opens_and_closes_the_way() -> None:
    assert sharing_between(OF_SHOP, OF_GATEWAYS, SHOP, GATEWAYS) is not None
    assert sharing_between(OF_SHOP, OF_GATEWAYS, WorkspaceId("shop"), GATEWAYS) is None


@pytest.mark.spec("W-32")
def test_a_named_resource_is_one_object_and_a_star_in_it_is_a_character() -> None:
    everything = settings('importFrom: [{workspaces: [{name: "*"}]}]')

    def passes(entry: str, key: ObjectKey) -> bool:
        exports = settings(f"exportTo: [{{workspaces: [{{name: gateways}}], resources: [{entry}]}}]")
        return shares(exports, everything, SHOP, GATEWAYS, key, {})

    one = "{kind: SERVICE, name: web, namespace: shop, cluster: east}"
    assert passes(one, obj("Service", "web"))
    assert not passes(one, obj("Service", "web", cluster="west"))
    assert not passes(one, obj("Service", "web2"))
    assert not passes(one, obj("RouteTable", "web"))
    assert not passes('{kind: SERVICE, name: "w*"}', obj("Service", "web"))


@pytest.mark.spec("W-33")
@pytest.mark.parametrize("type_", sorted(SHAREABLE))
def test_without_resources_every_shareable_kind_passes(type_: str) -> None:
    both = settings('{importFrom: [{workspaces: [{name: "*"}]}], exportTo: [{workspaces: [{name: "*"}]}]}')
    key = ObjectKey(type_, "east", "shop", "x")
    assert shares(both, both, SHOP, GATEWAYS, key, {})
    never = ObjectKey("networking.gloo.solo.io/VirtualGateway", "east", "shop", "x")
    assert not shares(both, both, SHOP, GATEWAYS, never, {})


@pytest.mark.spec("W-34")
@pytest.mark.parametrize("workspaces", ["[]", "[{}]"])
def test_sharing_with_no_workspace_named_shares_nothing(workspaces: str) -> None:
    exports = settings(f"exportTo: [{{workspaces: {workspaces}}}]")
    assert not shop_shares(obj("Service", "web"), {"app": "web"}, exports)


@pytest.mark.spec("W-35")
def test_sharing_is_not_transitive() -> None:
    both = settings('{importFrom: [{workspaces: [{name: b}, {name: a}]}], exportTo: [{workspaces: [{name: "*"}]}]}')
    only_b = settings("{importFrom: [{workspaces: [{name: b}]}]}")
    a, b, c = WorkspaceId("a"), WorkspaceId("b"), WorkspaceId("c")
    x = obj("Service", "x")
    assert shares(both, both, a, b, x, {})
    assert shares(both, only_b, b, c, obj("Service", "own-of-b"), {})
    assert not shares(both, only_b, a, c, x, {}), "x belongs to a, whatever b imported"


def of(name: str, spec: WorkspaceSettingsSpec | None = None, namespace: str = "shop") -> SettingsView:
    return SettingsView(key=ObjectKey("admin.gloo.solo.io/WorkspaceSettings", "east", namespace, name), spec=spec)


@pytest.mark.spec("W-14")
def test_the_oldest_settings_count() -> None:
    first, second = of("one", OF_SHOP), of("two", OF_GATEWAYS)
    chosen, losers = pick_settings([first, second])
    assert (chosen, losers) == (first, (second,))
    assert pick_settings([second]) == (second, ())
    assert pick_settings([]) == (None, ())


@pytest.mark.spec("W-37")
def test_a_broken_version_does_not_replace_the_last_valid_one() -> None:
    assert last_valid(None, OF_SHOP) is OF_SHOP
    assert last_valid(OF_GATEWAYS, OF_SHOP) is OF_GATEWAYS
    chosen, _ = pick_settings([of("never-valid"), of("two", OF_SHOP)])
    assert chosen is not None
    assert not shop_shares(obj("Service", "web"), {"app": "web"}, effective_settings(chosen.spec, None))


@pytest.mark.spec("W-16", "W-17")
def test_global_options_replace_one_by_one_and_lists_are_added() -> None:
    own = settings("""
exportTo: [{workspaces: [{name: a}]}]
options:
  serviceIsolation: {enabled: true, trimProxyConfig: true}
  eastWestGateways: [{selector: {labels: {own: x}}}]
""")
    over = settings("""
exportTo: [{workspaces: [{name: b}]}]
options: {eastWestGateways: [{selector: {labels: {global: x}}}]}
""")
    both = effective_settings(own, over)
    assert both.options is not None
    assert own.options is not None
    assert over.options is not None
    assert both.options.east_west_gateways == over.options.east_west_gateways
    assert both.options.service_isolation == own.options.service_isolation
    assert both.export_to == own.export_to + over.export_to
    assert effective_settings(own, None) is own
    off = effective_settings(own, settings("options: {serviceIsolation: {enabled: false}}"))
    assert off.options is not None
    assert off.options.service_isolation is not None
    assert not off.options.service_isolation.enabled
    assert off.options.service_isolation.trim_proxy_config is None, "the option is replaced as a whole"
    assert off.options.east_west_gateways == own.options.east_west_gateways
    assert effective_settings(None, over) == over


@pytest.mark.spec("W-18")
def test_global_is_global_only_in_the_admin_namespace() -> None:
    kind = "admin.gloo.solo.io/WorkspaceSettings"
    assert is_global(ObjectKey(kind, "mgmt", "gloo-mesh", "global"), "mgmt", "gloo-mesh")
    assert not is_global(ObjectKey(kind, "mgmt", "shop", "global"), "mgmt", "gloo-mesh")
    assert not is_global(ObjectKey(kind, "east", "gloo-mesh", "global"), "mgmt", "gloo-mesh")


@pytest.mark.parametrize(
    ("selector", "matches"),
    [
        ({}, True),
        ({"labels": {"a": "1"}}, True),
        ({"labels": {"a": "1", "c": "3"}}, False),
        ({"name": "web", "namespace": "shop", "cluster": "east", "workspace": "w"}, True),
        ({"name": "we*"}, False),
        ({"namespace": "other"}, False),
        ({"cluster": "west"}, False),
        ({"workspace": "other"}, False),
    ],
)
def test_all_fields_of_an_object_selector_are_anded(selector: dict[str, object], matches: bool) -> None:
    found = selector_matches(
        msgspec.convert(selector, ObjectSelector), obj("Service", "web"), {"a": "1", "b": "2"}, "w"
    )
    assert found is matches
