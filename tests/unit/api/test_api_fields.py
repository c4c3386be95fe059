"""Every model against the published field list of the reference, in both directions."""

from __future__ import annotations

import enum
import json
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from msgspec import inspect

from fingerpost.api.base import Duration, Empty
from fingerpost.api.kinds import KINDS

DATA = json.loads((Path(__file__).parents[2] / "data" / "api-fields.json").read_text())
MESSAGES = DATA["messages"]
ENUMS = DATA["enums"]

# proto3 cannot tell 0 from absent, but P-100 gives an explicit 0 a meaning of its own.
NULLABLE_HERE = {("resilience.policy.gloo.solo.io.OutlierDetectionPolicySpec.Config", "maxEjectionPercent")}
# Messages of Envoy and of the older core API, which the list refers to without describing them.
NOT_LISTED = {
    "core.skv2.solo.io.ClusterObjectRef",
    "envoy.type.matcher.v3.RegexMatcher",
    "envoy.type.matcher.v3.RegexMatchAndSubstitute",
}
INTEGERS = {
    "uint32": (0, 2**32 - 1),
    "int32": (-(2**31), 2**31 - 1),
    "int64": (-(2**63), 2**63 - 1),
}


def models() -> dict[str, type[msgspec.Struct]]:
    """Every message that a user's object is made of, by its published name."""
    found: dict[str, type[msgspec.Struct]] = {}
    waiting: list[inspect.Type] = [
        field.type
        for kind in KINDS
        if kind.model is not None and kind.written_by_users
        for field in inspect.type_info(kind.model).fields  # type: ignore[attr-defined]
        if field.encode_name in ("spec", "status")
    ]
    while waiting:
        info = waiting.pop()
        name = getattr(getattr(info, "cls", None), "PROTO", None)
        if isinstance(info, inspect.StructType) and name and name not in found:
            found[name] = info.cls
            waiting.extend(field.type for field in info.fields)
        elif isinstance(info, inspect.UnionType):
            waiting.extend(info.types)
        elif isinstance(info, inspect.VarTupleType):
            waiting.append(info.item_type)
        elif isinstance(info, inspect.DictType):
            waiting.append(info.value_type)
    return found


MODELS = models()
LISTED = sorted(set(MODELS) - NOT_LISTED)


def test_nearly_all_kinds_of_messages_are_compared() -> None:
    assert {
        "networking.gloo.solo.io.RouteTableSpec",
        "networking.gloo.solo.io.VirtualGatewaySpec",
        "networking.gloo.solo.io.VirtualDestinationSpec",
        "networking.gloo.solo.io.ExternalServiceSpec",
        "networking.gloo.solo.io.ExternalEndpointSpec",
        "admin.gloo.solo.io.WorkspaceSpec",
        "admin.gloo.solo.io.WorkspaceSettingsSpec",
        "admin.gloo.solo.io.KubernetesClusterSpec",
        "resilience.policy.gloo.solo.io.OutlierDetectionPolicySpec",
        "common.gloo.solo.io.Status",
    } <= set(LISTED)
    assert set(MODELS) >= NOT_LISTED


@pytest.mark.parametrize("name", LISTED)
def test_the_fields_are_those_of_the_reference(name: str) -> None:
    ours = {field.encode_name: field for field in inspect.type_info(MODELS[name]).fields}  # type: ignore[attr-defined]
    assert set(ours) == set(MESSAGES[name])
    wrong = [
        (field, listed["type"], ours[field].type)
        for field, listed in MESSAGES[name].items()
        if not fits(ours[field].type, listed["type"], nullable=(name, field) in NULLABLE_HERE)
    ]
    assert wrong == []


def fits(info: inspect.Type, listed: str, *, nullable: bool = False) -> bool:
    if nullable:
        listed = f"google.protobuf.{listed.title().replace('Uint', 'UInt')}Value"
    if listed == "google.protobuf.Timestamp":
        return isinstance(info, inspect.StrType)  # only we write times, into statuses
    if listed.startswith("list<"):
        return isinstance(info, inspect.VarTupleType) and fits_alone(info.item_type, listed[5:-1])
    if listed.startswith("map<"):
        key, _, value = listed[4:-1].partition(",")
        return (
            isinstance(info, inspect.DictType) and fits_alone(info.key_type, key) and fits_alone(info.value_type, value)
        )
    message = listed in MESSAGES or listed.startswith(("google.protobuf.", "envoy.", "core.skv2."))
    if message or (listed == "bool" and isinstance(info, inspect.UnionType)):
        # A message can be absent, which is more than empty; the list does not tell optional scalars from plain ones.
        if not (isinstance(info, inspect.UnionType) and info.includes_none):
            return False
        (info,) = (one for one in info.types if not isinstance(one, inspect.NoneType))
    return fits_alone(info, listed)


def fits_alone(info: inspect.Type, listed: str) -> bool:
    if listed in ENUMS:
        return any(names(one) == ENUMS[listed] for one in alternatives(info))
    if listed in INTEGERS or listed in ("google.protobuf.UInt32Value",):
        low, high = INTEGERS.get(listed, INTEGERS["uint32"])
        return isinstance(info, inspect.IntType) and (info.ge, info.le) == (low, high)
    if listed in ("string", "google.protobuf.StringValue"):
        return isinstance(info, inspect.StrType)
    if listed in ("bool", "google.protobuf.BoolValue"):
        return isinstance(info, inspect.BoolType)
    if listed == "google.protobuf.Duration":
        return isinstance(info, inspect.CustomType) and info.cls is Duration
    if not isinstance(info, inspect.StructType):
        return False
    return info.cls is Empty if listed == "google.protobuf.Empty" else getattr(info.cls, "PROTO", None) == listed


def alternatives(info: inspect.Type) -> Iterator[inspect.Type]:
    if isinstance(info, inspect.UnionType):
        yield from info.types
    else:
        yield info


def names(info: inspect.Type) -> list[str]:
    if not (isinstance(info, inspect.EnumType) and issubclass(info.cls, enum.Enum)):
        return []
    return [one.value for one in info.cls]


@pytest.mark.parametrize("name", LISTED)
def test_enums_default_to_their_zero_value(name: str) -> None:
    for field in inspect.type_info(MODELS[name]).fields:  # type: ignore[attr-defined]
        listed = MESSAGES[name][field.encode_name]["type"]
        if listed in ENUMS:
            assert field.default == ENUMS[listed][0], field.encode_name


def test_the_groups_of_fields_that_exclude_each_other_are_those_that_the_checks_know() -> None:
    """A one-of that is new in the list must get its rule in mgmt.translate.check."""
    groups: dict[str, list[str]] = {}
    for name in LISTED:
        for field, listed in MESSAGES[name].items():
            if "oneof" in listed:
                groups.setdefault(f"{name.rpartition('.')[2]}.{listed['oneof']}", []).append(field)
    assert {group: fields for group, fields in groups.items() if len(fields) > 1} == {
        "ClientMode.client_mode": ["auto", "sniRouting", "tlsTermination"],
        "DestinationReference.ref_kind": ["ref", "awsLambda"],
        "PortSelector.specifier": ["number", "name"],
        "StringMatch.match_type": ["exact", "prefix", "regex", "suffix"],
        "ForwardToAction.path_rewrite_specifier": ["pathRewrite", "regexRewrite"],
        "ForwardToAction.host_rewrite_specifier": ["hostRewrite", "autoHostRewrite"],
        "GraphQLAction.graphql_schema": ["schema", "stitchedSchema"],
        "HTTPRoute.action_type": ["forwardTo", "delegate", "redirect", "directResponse", "graphql"],
        "TLSConfig.certificates": ["secretName", "files"],
        "Listener.tls_settings": ["tls", "httpsRedirect"],
        "Listener.listener_type": ["http", "tcp"],
    }
