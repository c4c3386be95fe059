"""From bytes to objects: what is accepted, what is warned about, what is refused and with which words."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fingerpost.api.base import Duration
from fingerpost.api.common import DestinationKind
from fingerpost.api.decode import decode
from fingerpost.api.kinds import KINDS, Kind, find
from fingerpost.api.networking.route_table import RedirectAction
from fingerpost.objects import ObjectKey, canonical, trim
from fingerpost.problems import Severity

NET = "networking.gloo.solo.io"


def key(type_: str) -> ObjectKey:
    return ObjectKey(type_, "east", "shop", "web")


def decoded(kind: str, spec: dict[str, Any], group: str = NET, **other: Any) -> tuple[Any, list[tuple[str, str, str]]]:
    body = {"apiVersion": f"{group}/v2", "kind": kind, "metadata": {"name": "web", "namespace": "shop"}, "spec": spec}
    obj, problems = decode(key(f"{group}/{kind}"), json.dumps({**body, **other}).encode())
    doubts = {"UnknownField", "NullField"}
    assert all((p.severity is Severity.WARNING) == (p.code in doubts or obj is not None) for p in problems)
    assert obj is not None or not problems or problems[0].severity is Severity.INVALID
    assert {p.ref for p in problems} <= {key(f"{group}/{kind}")}
    return obj, [(p.path, p.code, p.message) for p in problems]


def table(*routes: dict[str, Any], **spec: Any) -> tuple[Any, list[tuple[str, str, str]]]:
    return decoded("RouteTable", {"hosts": ["a.example"], "http": list(routes), **spec})


def test_a_good_table_has_no_problems() -> None:
    obj, problems = table({"forwardTo": {"destinations": [{"ref": {"name": "web"}, "port": {"number": 80}}]}})
    assert problems == []
    assert obj.spec.http[0].forward_to.destinations[0].port.number == 80


@pytest.mark.spec("D-5")
def test_a_destination_without_kind_is_a_service() -> None:
    obj, _ = table({"forwardTo": {"destinations": [{"ref": {"name": "web"}}]}})
    assert obj.spec.http[0].forward_to.destinations[0].kind is DestinationKind.SERVICE


def test_a_suffix_matcher_reaches_the_model() -> None:
    """R-4 needs it there: a field that the model did not have would silently widen the match."""
    obj, problems = table({"matchers": [{"uri": {"suffix": ".png"}}]})
    assert problems == []
    assert obj.spec.http[0].matchers[0].uri.suffix == ".png"


@pytest.mark.spec("P-2")
def test_unknown_fields_are_warnings_with_their_path_and_change_nothing_else() -> None:
    route = {"redirect": {"hostRedirect": "b.example", "stripQuery": True}, "machers": []}
    obj, problems = table(route, weigth=5)
    assert obj.spec.http[0].redirect.host_redirect == "b.example"
    assert problems == [
        (
            "spec.http[0].redirect.stripQuery",
            "UnknownField",
            'field "stripQuery" is not known and has no effect; remove it',
        ),
        (
            "spec.http[0].machers",
            "UnknownField",
            'field "machers" is not known and has no effect; did you mean "matchers"?',
        ),
        ("spec.weigth", "UnknownField", 'field "weigth" is not known and has no effect; did you mean "weight"?'),
    ]


def test_fields_below_the_http_key_of_a_listener_are_kept_without_a_word() -> None:
    listener = {"http": {"anything": {"deep": 1}}, "port": {"number": 80}, "tlsMode": "SIMPLE"}
    obj, problems = decoded("VirtualGateway", {"listeners": [listener]})
    assert obj is not None
    assert [path for path, _, _ in problems] == ["spec.listeners[0].tlsMode"]


def test_a_key_without_value_is_pointed_out() -> None:
    obj, problems = decoded("VirtualGateway", {"listeners": [{"http": None, "port": {"number": 80}}]})
    assert obj.spec.listeners[0].http is None
    assert [(path, code) for path, code, _ in problems] == [("spec.listeners[0].http", "NullField")]


def test_every_wrong_value_is_named_with_what_was_found_and_what_is_allowed() -> None:
    obj, problems = table(
        {"forwardTo": {"destinations": [{"ref": {"name": "web"}, "port": {"number": "abc"}}]}},
        {"labels": {"a": True}},
        {"redirect": {"responseCode": 300}},
        {"matchers": {}},
        failureMode="Freeze",
        weight=2**31,
    )
    assert obj is None
    assert set(problems) == {
        (
            "spec.http[0].forwardTo.destinations[0].port.number",
            "WrongType",
            'expected an integer, got the string "abc"',
        ),
        ('spec.http[1].labels["a"]', "WrongType", "expected a string, got true"),
        (
            "spec.http[2].redirect.responseCode",
            "UnknownValue",
            "the number 300 is not one of 301, 302, 303, 307, 308",
        ),
        ("spec.http[3].matchers", "WrongType", "expected a list, got an object"),
        (
            "spec.failureMode",
            "UnknownValue",
            'the string "Freeze" is not one of ROUTE_REPLACEMENT, FREEZE_CONFIG',
        ),
        ("spec.weight", "OutOfRange", "must be -2147483648 to 2147483647, not 2147483648"),
    }


@pytest.mark.spec("P-2")
def test_a_wrong_value_does_not_hide_the_unknown_fields_beside_it() -> None:
    routes = ["no route", {"matchers": [{"uri": {"exactt": "/a"}}], "metadata": None}]
    obj, problems = decoded("RouteTable", {"hosts": "a.example", "http": routes, "weight": None})
    assert obj is None
    assert [(path, code) for path, code, _ in problems] == [
        ("spec.hosts", "WrongType"),
        ("spec.http[0]", "WrongType"),
        ("spec.weight", "WrongType"),
        ("spec.http[1].matchers[0].uri.exactt", "UnknownField"),
        ("spec.http[1].metadata", "UnknownField"),
    ]


def test_an_unknown_kind_of_shared_resource_refuses_the_settings() -> None:
    """The first half of W-37; that the last valid version stays is the sharing's own proof."""
    spec = {"exportTo": [{"workspaces": [{"name": "*"}], "resources": [{"kind": "ROUTE_TABEL"}]}]}
    obj, problems = decoded("WorkspaceSettings", spec, "admin.gloo.solo.io")
    assert obj is None
    ((path, code, message),) = problems
    assert (path, code) == ("spec.exportTo[0].resources[0].kind", "UnknownValue")
    assert message.startswith('the string "ROUTE_TABEL" is not one of ALL, ROUTE_TABLE, SERVICE, ')


@pytest.mark.parametrize(
    ("written", "status"),
    [("FOUND", 302), ("PERMANENT_REDIRECT", 308), (303, 303), (307, 307), (None, 301)],
)
def test_a_redirect_code_is_a_name_or_a_number(written: str | int | None, status: int) -> None:
    code = {} if written is None else {"responseCode": written}
    obj, problems = table({"redirect": {"pathRedirect": "/", **code}})
    assert problems == []
    redirect: RedirectAction = obj.spec.http[0].redirect
    assert redirect.status == status


def test_null_is_forgiven_in_metadata_but_never_widens_a_selector() -> None:
    metadata = {"name": "web", "labels": None, "annotations": None, "creationTimestamp": None}
    obj, problems = decoded("RouteTable", {"http": []}, metadata=metadata)
    assert obj is not None
    assert problems == []
    obj, problems = decoded("VirtualDestination", {"services": [{"labels": None}]})
    assert obj is None
    assert problems == [("spec.services[0].labels", "WrongType", "expected a map, got nothing (null)")]


def test_nulls_of_kubernetes_are_absent_values() -> None:
    body = {
        "metadata": {"name": "web-1"},
        "addressType": "IPv4",
        "endpoints": None,
        "ports": [{"name": None, "port": 80}],
    }
    obj, problems = decode(key("discovery.k8s.io/EndpointSlice"), json.dumps(body).encode())
    assert problems == ()
    assert obj is not None
    assert obj.endpoints == ()
    assert (obj.ports[0].name, obj.ports[0].port) == ("", 80)


@pytest.mark.parametrize(("target", "listening"), [(None, 80), (8080, 8080), ("http", 0)])
def test_a_target_port_is_a_number_a_name_or_absent(target: int | str | None, listening: int) -> None:
    port = {"port": 80, **({} if target is None else {"targetPort": target})}
    body = {"metadata": {"name": "web"}, "spec": {"ports": [port]}}
    obj, problems = decode(key("core/Service"), json.dumps(body).encode())
    assert problems == ()
    assert obj is not None
    assert obj.spec.ports[0].listening_port == listening


def test_another_version_of_a_kind_is_not_served() -> None:
    obj, problems = decoded("RouteTable", {}, apiVersion=f"{NET}/v1")
    assert obj is None
    assert problems == [("apiVersion", "WrongVersion", f'RouteTable is served as "{NET}/v2", not as "{NET}/v1"')]


def test_every_kind_without_a_model_says_so() -> None:
    """A kind that is not built is never accepted in silence."""
    for kind in KINDS:
        if kind.model is None:
            obj, (problem,) = decode(key(kind.type), canonical(bare(kind)))
            assert obj is None
            assert (problem.severity, problem.code) == (Severity.FAILED, "NotImplemented")
            assert problem.message == f"{kind.kind} is not implemented in this version"


def bare(kind: Kind) -> dict[str, Any]:
    return {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": {"name": "x"}, "spec": {"a": [1]}}


@pytest.mark.parametrize(
    ("more", "severity", "found"),
    [
        ({"spec": 7}, Severity.INVALID, ("spec", "WrongType")),
        ({"spec": None}, Severity.INVALID, ("spec", "WrongType")),
        ({"apiVersion": "admin.gloo.solo.io/v1"}, Severity.INVALID, ("apiVersion", "WrongVersion")),
        ({"metadata": {"name": "x", "labels": {"a": 1}}}, Severity.INVALID, ('metadata.labels["a"]', "WrongType")),
        ({"spce": {}}, Severity.WARNING, ("spce", "UnknownField")),
    ],
)
def test_of_a_kind_without_a_model_is_checked_what_every_kind_has(
    more: dict[str, Any], severity: Severity, found: tuple[str, str]
) -> None:
    _, problems = decode(key("admin.gloo.solo.io/Dashboard"), canonical(bare(find("Dashboard")) | more))
    assert (problems[-1].severity, problems[-1].path, problems[-1].code) == (severity, *found)


def test_an_unknown_type_is_named() -> None:
    obj, (problem,) = decode(key("networking.gloo.solo.io/Route"), b"{}")
    assert obj is None
    assert (problem.severity, problem.code) == (Severity.INVALID, "UnknownKind")
    assert '"networking.gloo.solo.io/Route"' in problem.message


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"null",
        b"{",
        b"\xff",
        b'{"metadata":{"name":"\xff"}}',
        b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    ],
    ids=["empty", "list", "null", "cut", "no-text", "no-utf8", "deep"],
)
def test_bytes_that_are_no_object_are_one_problem(body: bytes) -> None:
    obj, (problem,) = decode(key(f"{NET}/RouteTable"), body)
    assert obj is None
    assert (problem.severity, problem.code) == (Severity.INVALID, "Malformed")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["spec", "metadata", "http", "hosts", "matchers", "uri", "forwardTo", "port", "labels", "x"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@given(JSON)
def test_no_input_raises_and_no_refusal_is_without_a_reason(value: Any) -> None:
    body = json.dumps({"metadata": {}, "spec": value}).encode()
    for type_ in (f"{NET}/RouteTable", f"{NET}/VirtualGateway", "core/Service"):
        obj, problems = decode(key(type_), body)
        assert obj is not None or problems


@pytest.mark.parametrize(
    ("text", "microseconds"),
    [
        ("10s", 10_000_000),
        ("1.5s", 1_500_000),
        ("200ms", 200_000),
        ("1m30s", 90_000_000),
        ("-1s", -1_000_000),
        ("0s", 0),
        ("359999999.999999s", 359_999_999_999_999),
        ("-359999999.999999s", -359_999_999_999_999),
    ],
)
def test_durations_are_exact(text: str, microseconds: int) -> None:
    parsed = Duration.parse(text)
    assert parsed == Duration(microseconds=microseconds)
    assert Duration.parse(str(parsed)) == parsed


@pytest.mark.parametrize("text", ["100000h", "-360000000s", "99999h60m", "315576000000s"])
def test_a_duration_that_no_gateway_takes_is_refused_with_the_longest(text: str) -> None:
    obj, problems = decoded("OutlierDetectionPolicy", {"config": {"interval": text}}, "resilience.policy.gloo.solo.io")
    assert obj is None
    message = f'"{text}" must be less than 100000h, so that every gateway can hold it'
    assert [(path, said) for path, _, said in problems] == [("spec.config.interval", message)]


@pytest.mark.parametrize("text", ["", "5", "1x", "1s ", "1.s", "99999999999999999h", "1ns", "9" * 5000 + "s"])
def test_what_is_no_duration_is_refused_with_the_value(text: str) -> None:
    obj, problems = decoded("OutlierDetectionPolicy", {"config": {"interval": text}}, "resilience.policy.gloo.solo.io")
    assert obj is None
    ((path, _, message),) = problems
    assert path == "spec.config.interval"
    assert message.startswith(f'"{text[:60]}')


def test_an_empty_outlier_detection_leaves_every_default_to_the_translation() -> None:
    obj, problems = decoded("OutlierDetectionPolicy", {"config": {}}, "resilience.policy.gloo.solo.io")
    assert problems == []
    config = obj.spec.config
    assert config is not None
    fields = (config.consecutive_errors, config.interval, config.base_ejection_time, config.max_ejection_percent)
    assert fields == (None, None, None, None)
    explicit, _ = decoded(
        "OutlierDetectionPolicy", {"config": {"maxEjectionPercent": 0}}, "resilience.policy.gloo.solo.io"
    )
    assert explicit.spec.config.max_ejection_percent == 0


def test_trimming_makes_bookkeeping_invisible() -> None:
    """Half of M-8: what Kubernetes changes by itself gives equal bytes, so nothing is left to send."""
    one = {"metadata": {"name": "web", "managedFields": [1], "resourceVersion": "1"}, "spec": {}, "status": {"a": 1}}
    two = {"metadata": {"name": "web", "managedFields": [2], "resourceVersion": "2"}, "spec": {}, "status": {"a": 2}}
    other = {**two, "spec": {"weight": 1}}
    type_ = f"{NET}/RouteTable"
    assert canonical(trim(type_, one)) == canonical(trim(type_, two)) != canonical(trim(type_, other))


def test_a_secret_does_not_show_its_values() -> None:
    body = b'{"metadata":{"name":"cert","namespace":"shop"},"data":{"tls.key":"Y2FuYXJ5"}}'
    obj, problems = decode(key("core/Secret"), body)
    assert problems == ()
    assert obj is not None
    assert obj.data == {"tls.key": "Y2FuYXJ5"}
    assert "Y2FuYXJ5" not in f"{obj!r} {obj}"
