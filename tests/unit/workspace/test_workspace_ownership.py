"""Who owns a namespace, whether it is read, and what the status of a Workspace says about it."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
import pytest
import yaml

from fingerpost.api.admin.workspace import WorkspaceSpec
from fingerpost.objects import ObjectKey
from fingerpost.problems import Severity
from mgmt.translate.workspace.ownership import (
    Ownership,
    WorkspaceView,
    membership_problem,
    owner_of,
    workspace_clusters,
)
from mgmt.translate.workspace.seniority import seniority
from mgmt.translate.workspace.standing import Standing, misplaced, standing

CLUSTERS: Mapping[str, Mapping[str, str]] = {"mgmt": {}, "east": {"env": "prod"}, "west": {}}
EXAMPLE = """
workloadClusters:
- name: mgmt
  configEnabled: true
  namespaces: [{name: shop-config}]
- selector: {env: prod}
  configEnabled: false
  namespaces: [{name: "shop-*"}, {labels: {team: shop}}]
"""


def key(name: str, type_: str = "admin.gloo.solo.io/Workspace", namespace: str = "gloo-mesh") -> ObjectKey:
    return ObjectKey(type_, "mgmt", namespace, name)


def view(name: str, text: str, created: str = "2024-01-01T00:00:00Z") -> WorkspaceView:
    spec = msgspec.convert(yaml.safe_load(text), WorkspaceSpec)
    return WorkspaceView(name=name, key=key(name), spec=spec, created=created)


def pairs(
    workspaces: list[WorkspaceView], namespaces: Mapping[tuple[str, str], Mapping[str, str]]
) -> dict[tuple[str, str], Ownership]:
    return {(c, n): owner_of(c, n, labels, workspaces, CLUSTERS[c]) for (c, n), labels in namespaces.items()}


def standing_of(
    it: WorkspaceView, workspaces: list[WorkspaceView], namespaces: Mapping[tuple[str, str], Mapping[str, str]]
) -> Standing:
    owners = pairs(workspaces, namespaces)
    reported = [(c, n, labels) for (c, n), labels in namespaces.items()]
    return standing(it, CLUSTERS, reported, lambda c, n: owners[c, n].workspace)


@pytest.mark.spec("W-4")
def test_the_example_selects_exactly_its_pairs_and_follows_labels() -> None:
    shop = view("shop", EXAMPLE)
    team = {"team": "shop"}
    namespaces: dict[tuple[str, str], Mapping[str, str]] = {
        ("mgmt", "shop-config"): {},
        ("mgmt", "shop-web"): {},
        ("east", "shop-web"): {},
        ("east", "cart"): team,
        ("east", "other"): {},
        ("west", "shop-web"): team,
    }
    owned = {pair for pair, o in pairs([shop], namespaces).items() if o.workspace == "shop"}
    assert owned == {("mgmt", "shop-config"), ("east", "shop-web"), ("east", "cart")}
    read = {pair for pair, o in pairs([shop], namespaces).items() if o.config_enabled}
    assert read == {("mgmt", "shop-config")}
    assert pairs([shop], {**namespaces, ("east", "other"): team})["east", "other"].workspace == "shop"


@pytest.mark.spec("W-5")
@pytest.mark.parametrize(
    ("pattern", "matches", "not_matches"),
    [("ns1*", ["ns1", "ns1-a"], ["ans1"]), ("n.*", ["n.x", "n."], ["nx"]), ("a*b*", ["ab", "axbx"], ["xab", "a"])],
)
def test_wildcards(pattern: str, matches: list[str], not_matches: list[str]) -> None:
    it = view("w", f'workloadClusters: [{{name: east, namespaces: [{{name: "{pattern}"}}]}}]')
    owned = [n for n in matches + not_matches if owner_of("east", n, {}, [it], {}).workspace == "w"]
    assert owned == matches


@pytest.mark.spec("W-6")
def test_an_entry_without_name_and_selector_means_every_registered_cluster() -> None:
    it = view("w", "workloadClusters: [{namespaces: [{name: web}]}]")
    assert all(owner_of(c, "web", None, [it], labels).workspace == "w" for c, labels in CLUSTERS.items())
    assert owner_of("later", "web", None, [it], None).workspace is None
    assert owner_of("later", "web", None, [it], {}).workspace == "w"
    assert workspace_clusters(it, {**CLUSTERS, "later": {}}) == {*CLUSTERS, "later"}
    assert workspace_clusters(view("shop", EXAMPLE), CLUSTERS) == {"mgmt", "east"}


@pytest.mark.spec("W-7", "W-8")
def test_missing_namespaces_are_invalid_and_no_clusters_are_fine() -> None:
    empty = standing(view("w", "workloadClusters: [{name: east}]"), CLUSTERS, [("east", "web", {})], lambda *_: None)
    assert [(p.severity, "namespaces" in p.message) for p in empty.problems] == [(Severity.INVALID, True)]
    assert empty.clusters == empty.namespaces == ()
    none = standing(view("w", "{}"), CLUSTERS, [("east", "web", {})], lambda *_: None)
    assert none == Standing()
    mixed = view("w", "workloadClusters: [{name: east}, {name: west, namespaces: [{name: web}]}]")
    assert [p.severity for p in standing(mixed, CLUSTERS, [], lambda *_: None).problems] == [Severity.WARNING]


ALL = 'workloadClusters: [{name: "*", namespaces: [{name: "*"}]}]'
WEB = "workloadClusters: [{name: east, namespaces: [{name: web}]}]"
TWO: dict[tuple[str, str], Mapping[str, str]] = {("east", "web"): {}, ("east", "db"): {}}


@pytest.mark.spec("W-9", "W-11")
def test_the_older_wildcard_keeps_what_a_newer_name_wants() -> None:
    older, newer = view("all", ALL), view("web", WEB, "2024-01-02T00:00:00Z")
    ordered = sorted([newer, older], key=lambda w: seniority(w.created, w.key))
    assert pairs(ordered, TWO)["east", "web"] == Ownership(workspace="all", config_enabled=True, losers=("web",))
    lost = standing_of(newer, ordered, TWO)
    assert lost.namespaces == ()
    assert [(p.severity, p.message) for p in lost.problems] == [
        (Severity.INVALID, "namespace web in cluster east belongs to workspace all")
    ]
    alone = standing_of(newer, [newer], TWO)
    assert (alone.namespaces, alone.problems) == ((("east", "web"),), ())
    edited = msgspec.structs.replace(older, spec=msgspec.convert({"workloadClusters": [
        {"namespaces": [{"name": "*"}]}]}, WorkspaceSpec))  # fmt: skip
    assert sorted([newer, edited], key=lambda w: seniority(w.created, w.key))[0] is edited


@pytest.mark.spec("W-10")
def test_the_older_name_keeps_its_pair_and_the_wildcard_has_the_rest() -> None:
    older, newer = view("web", WEB), view("all", ALL, "2024-01-02T00:00:00Z")
    assert pairs([older, newer], TWO)["east", "web"].workspace == "web"
    rest = standing_of(newer, [older, newer], TWO)
    assert rest.namespaces == (("east", "db"),)
    assert [p.severity for p in rest.problems] == [Severity.WARNING]


def test_equally_old_objects_go_by_name_and_one_without_a_timestamp_is_the_youngest() -> None:
    a, b, c = seniority("2024-01-01T00:00:00Z", key("b")), seniority("2024-01-01T00:00:00Z", key("c")), seniority(
        None, key("a")
    )  # fmt: skip
    assert sorted([c, b, a]) == [a, b, c]


@pytest.mark.spec("W-12")
@pytest.mark.parametrize(
    ("first", "second", "reads", "warned"),
    [
        (None, None, (True, True), False),
        (True, None, (True, False), True),
        (False, None, (False, True), True),
        (True, False, (True, False), False),
        (False, False, (False, False), False),
    ],
)
@pytest.mark.parametrize("level", ["cluster", "namespace"])
def test_an_omitted_config_enabled_beside_explicit_ones(
    level: str, first: bool | None, second: bool | None, reads: tuple[bool, bool], warned: bool
) -> None:
    def entry(name: str, value: bool | None, inner: object = None) -> dict[str, object]:
        out: dict[str, object] = {"name": name} | ({} if value is None else {"configEnabled": value})
        return out | ({"namespaces": inner} if inner else {})

    if level == "cluster":
        clusters = [entry("east", first, [{"name": "a"}]), entry("west", second, [{"name": "b"}])]
    else:
        clusters = [entry("", None, [entry("a", first), entry("b", second)])]
    it = view("w", yaml.safe_dump({"workloadClusters": clusters}))
    got = (owner_of("east", "a", {}, [it], {}), owner_of("west", "b", {}, [it], {}))
    assert [o.workspace for o in got] == ["w", "w"]
    assert tuple(o.config_enabled for o in got) == reads
    problems = standing(it, CLUSTERS, [], lambda *_: None).problems
    assert bool(problems) == warned
    if warned:
        assert "entries 1 count as" in problems[0].message


def test_one_entry_that_reads_is_enough() -> None:
    it = view("w", """
workloadClusters:
- {name: east, configEnabled: false, namespaces: [{name: a}]}
- {name: "*", configEnabled: true, namespaces: [{name: a}]}
""")  # fmt: skip
    assert owner_of("east", "a", {}, [it], {}).config_enabled


@pytest.mark.spec("W-13")
def test_a_namespace_keeps_its_workspace_while_it_does_not_exist() -> None:
    assert owner_of("east", "web", None, [view("web", WEB)], {}).workspace == "web"


@pytest.mark.spec("W-1")
def test_a_workspace_elsewhere_is_invalid() -> None:
    assert misplaced(key("w"), "mgmt", "gloo-mesh") is None
    for ref in (key("w", namespace="other"), ObjectKey("admin.gloo.solo.io/Workspace", "east", "gloo-mesh", "w")):
        problem = misplaced(ref, "mgmt", "gloo-mesh")
        assert problem is not None
        assert (problem.severity, problem.message) == (
            Severity.INVALID,
            "workspaces are only read from gloo-mesh of the management cluster",
        )


@pytest.mark.spec("W-2", "W-15")
def test_why_an_object_waits() -> None:
    table = ObjectKey("networking.gloo.solo.io/RouteTable", "east", "shop-web", "t")
    nobody = membership_problem(table, owner_of("east", "shop-web", {}, [], {}))
    unread = membership_problem(table, owner_of("east", "shop-web", {}, [view("shop", EXAMPLE)], CLUSTERS["east"]))
    assert nobody is not None
    assert unread is not None
    assert nobody.severity == unread.severity == Severity.PENDING
    assert nobody.message == "namespace does not belong to any workspace"
    assert unread.message == "configuration is not read from this namespace"
    assert membership_problem(table, Ownership(workspace="w", config_enabled=True)) is None


def test_mistaken_entries_are_warned_of() -> None:
    it = view("w", "workloadClusters: [{name: nowhere, namespaces: [{}]}]")
    messages = [(p.severity, p.message) for p in standing(it, CLUSTERS, [], lambda *_: None).problems]
    assert (Severity.WARNING, "cluster nowhere is not registered") in messages
    assert any("selects nothing" in message for _, message in messages)
    assert owner_of("nowhere", "x", {}, [it], {}).workspace is None


def test_a_long_list_of_lost_namespaces_stays_readable() -> None:
    many: dict[tuple[str, str], Mapping[str, str]] = {("east", f"n{i:03}"): {} for i in range(200)}
    older, newer = view("a", ALL), view("b", ALL, "2024-01-02T00:00:00Z")
    problems = standing_of(newer, [older, newer], many).problems
    assert len(problems) == 11
    assert problems[-1].message.startswith("190 more ")
