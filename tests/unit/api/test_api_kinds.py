"""The registry of kinds against the published table, and the words people use for kinds."""

from __future__ import annotations

from pathlib import Path

import pytest

from fingerpost.api.kinds import BY_TYPE, KINDS, AmbiguousKind, UnknownKind, find

TABLE = [
    line.split("\t")
    for line in (Path(__file__).parents[2] / "data" / "kinds.tsv").read_text().splitlines()
    if not line.startswith("#")
]


def test_the_registry_holds_exactly_the_published_kinds() -> None:
    published = {(group, version, kind, plural, short) for group, version, kind, plural, short, *_ in TABLE}
    ours = {
        (kind.group, kind.version, kind.kind, kind.plural, ",".join(kind.short_names))
        for kind in KINDS
        if kind.group.endswith("solo.io")
    }
    assert len(published) == 70
    assert ours == published


def test_every_model_calls_itself_by_the_name_it_is_registered_under() -> None:
    for kind in KINDS:
        if kind.model is not None:
            defaults = dict(zip(kind.model.__struct_fields__[-2:], kind.model.__struct_defaults__[-2:], strict=True))
            assert defaults == {"api_version": kind.api_version, "kind": kind.kind}


def test_only_namespaces_and_nodes_have_no_namespace() -> None:
    assert {kind.type for kind in KINDS if not kind.namespaced} == {"core/Namespace", "core/Node"}


@pytest.mark.parametrize(
    ("word", "type_"),
    [
        ("RouteTable", "networking.gloo.solo.io/RouteTable"),
        ("routetable", "networking.gloo.solo.io/RouteTable"),
        ("routetables", "networking.gloo.solo.io/RouteTable"),
        ("rt", "networking.gloo.solo.io/RouteTable"),
        ("routetables.networking.gloo.solo.io", "networking.gloo.solo.io/RouteTable"),
        ("rt.networking.gloo.solo.io", "networking.gloo.solo.io/RouteTable"),
        ("networking.gloo.solo.io/RouteTable", "networking.gloo.solo.io/RouteTable"),
        ("wss", "admin.gloo.solo.io/WorkspaceSettings"),
        ("gqlpqc", "resilience.policy.gloo.solo.io/GraphQLPersistedQueryCachePolicy"),
        ("cp.resilience.policy.gloo.solo.io", "resilience.policy.gloo.solo.io/ConnectionPolicy"),
        ("svc", "core/Service"),
        ("deployments.apps", "apps/Deployment"),
    ],
)
def test_a_kind_is_found_by_any_of_its_names(word: str, type_: str) -> None:
    assert find(word) is BY_TYPE[type_]


@pytest.mark.parametrize(
    ("word", "candidates"),
    [
        ("cp", "cloudproviders.networking.gloo.solo.io, connectionpolicies.resilience.policy.gloo.solo.io"),
        ("rtp", "retrytimeoutpolicies.resilience.policy.gloo.solo.io, roottrustpolicies.admin.gloo.solo.io"),
        ("cr", "certificaterequests.internal.gloo.solo.io, cloudresources.networking.gloo.solo.io"),
    ],
)
def test_an_ambiguous_name_lists_the_candidates(word: str, candidates: str) -> None:
    with pytest.raises(AmbiguousKind) as caught:
        find(word)
    assert str(caught.value) == f'"{word}" is ambiguous, write one of {candidates}'


def test_an_unknown_name_is_an_error_of_its_own() -> None:
    with pytest.raises(UnknownKind, match='no kind is called "routes"'):
        find("routes")
