"""The generated definitions: current, and complete against the published lists of kinds and fields."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import Any

import pytest
import yaml

from fingerpost.api.base import Duration
from fingerpost.api.common import DestinationKind, ObjectReference, PortSelector
from fingerpost.api.kinds import Kind, find
from fingerpost.crd import rules
from fingerpost.crd.__main__ import main
from fingerpost.crd.constraints import Constraints, Rule
from fingerpost.crd.definition import definition, users_kinds
from fingerpost.crd.files import files
from fingerpost.crd.rules import RULES
from fingerpost.crd.rules.common import supported_destinations, supported_words
from fingerpost.crd.schema import DURATION
from mgmt.admin.reach import SERVED

ROOT = Path(__file__).parents[3]
DATA = ROOT / "tests" / "data"
MESSAGES = json.loads((DATA / "api-fields.json").read_text())["messages"]
KINDS = users_kinds()
MODELLED = [kind for kind in KINDS if kind.model is not None and kind.written_by_users]
# Messages of Envoy and of the older core API, which the published list refers to without describing them.
NOT_LISTED = {
    "core.skv2.solo.io.ClusterObjectRef": {"name", "namespace", "clusterName"},
    "envoy.type.matcher.v3.RegexMatchAndSubstitute": {"pattern", "substitution"},
}


def spec_of(kind: Kind) -> dict[str, Any]:
    schema: dict[str, Any] = definition(kind)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return schema["properties"]["spec"]  # type: ignore[no-any-return]


def test_the_files_are_current() -> None:
    folder = ROOT / "charts" / "gloo-platform-crds" / "definitions"
    found = {path.name: path.read_text() for path in folder.iterdir()}
    assert found == files(), "run `python -m fingerpost.crd`"


def test_writing_leaves_no_stale_file(tmp_path: Path) -> None:
    (tmp_path / "gone.yaml").write_text("{}")
    main(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == set(files())


def test_there_is_a_definition_of_every_published_kind() -> None:
    rows = [line.split("\t") for line in (DATA / "kinds.tsv").read_text().splitlines() if not line.startswith("#")]
    published = {
        (group, version, kind, plural, tuple(short.split(",")) if short else (), (category,) if category else ())
        for group, version, kind, plural, short, category, *_ in rows
    }
    made = [yaml.safe_load(text)["spec"] for text in files().values()]
    assert len(published) == len(made) == 70
    assert published == {
        (
            one["group"],
            one["versions"][0]["name"],
            one["names"]["kind"],
            one["names"]["plural"],
            tuple(one["names"].get("shortNames", ())),
            tuple(one["names"].get("categories", ())),
        )
        for one in made
    }
    assert {one["scope"] for one in made} == {"Namespaced"}


@pytest.mark.parametrize("kind", MODELLED, ids=lambda kind: kind.kind)
def test_no_field_of_the_reference_is_dropped_by_the_api_server(kind: Kind) -> None:
    """And none is kept that the reference does not have: users would believe that it does something."""
    assert sorted(differences(spec_of(kind), f"{kind.group}.{kind.kind}Spec", "spec")) == []


def differences(schema: dict[str, Any], message: str, path: str) -> Iterator[str]:
    """Paths that only one of the two has."""
    if schema.get("x-kubernetes-preserve-unknown-fields"):
        return
    ours = schema.get("properties", {})
    listed = MESSAGES.get(message)
    if listed is None:
        assert set(ours) == NOT_LISTED[message], message
        return
    yield from (f"{path}.{name}" for name in set(ours) ^ set(listed))
    for name in set(ours) & set(listed):
        type_ = listed[name]["type"]
        below, inner = ours[name], type_.rstrip(">").rpartition("<")[2].rpartition(",")[2]
        if type_.startswith("list<"):
            below = below["items"]
        elif type_.startswith("map<"):
            below = below["additionalProperties"]
        if inner in MESSAGES or inner in NOT_LISTED:
            yield from differences(below, inner, f"{path}.{name}")


@pytest.mark.parametrize("kind", [k for k in KINDS if k not in MODELLED], ids=lambda kind: kind.kind)
def test_a_kind_without_a_model_keeps_every_field(kind: Kind) -> None:
    waiting = [spec_of(kind)]
    while waiting:
        schema = waiting.pop()
        if schema["type"] == "object":
            assert schema["x-kubernetes-preserve-unknown-fields"] is True
        waiting += schema.get("properties", {}).values()


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind)
def test_the_status_is_a_subresource_and_shows_in_columns(kind: Kind) -> None:
    (version,) = definition(kind)["spec"]["versions"]
    assert version["subresources"] == {"status": {}}
    assert version["schema"]["openAPIV3Schema"]["properties"]["status"]["x-kubernetes-preserve-unknown-fields"] is True
    assert [column for column in version["additionalPrinterColumns"] if column.get("priority")] == [], "all are shown"
    columns = {column["name"]: column["jsonPath"] for column in version["additionalPrinterColumns"]}
    assert columns.pop("Gateways", ".status.arrival.gateways") == ".status.arrival.gateways"
    assert columns.pop("Age") == ".metadata.creationTimestamp"
    assert columns == (
        {"State": ".status.common.State.approval", "Message": ".status.common.State.message"}
        if kind.written_by_users
        else {}
    )


def test_the_kinds_whose_arrival_is_told_show_it() -> None:
    told = {kind.type for kind in KINDS if "status.arrival" in json.dumps(definition(kind))}
    assert told == {type_ for type_ in SERVED if type_.endswith("solo.io/" + type_.rpartition("/")[2])}


def test_every_rule_arrived_in_a_definition() -> None:
    """A rule of a message that no object is made of would be silently without effect."""
    written = json.dumps([definition(kind) for kind in KINDS])
    rules = [rule for constraints in RULES.values() for rule in constraints if isinstance(rule, Rule)]
    assert len(rules) > 40
    assert [rule for rule in rules if json.dumps(rule.cel) not in written] == []


def test_no_duration_is_longer_than_a_gateway_takes() -> None:
    """By its type, so that no kind can forget it."""
    found = [(kind.kind, *one) for kind in MODELLED for one in durations(spec_of(kind), "spec")]
    assert ("OutlierDetectionPolicy", "spec.config.interval") in [(kind, path) for kind, path, _ in found]
    assert [(kind, path) for kind, path, rules in found if Duration.TOO_LONG not in rules] == []


def durations(schema: dict[str, Any], path: str) -> Iterator[tuple[str, list[str]]]:
    """(path, messages of its rules) of each."""
    if schema.get("pattern") == DURATION:
        yield path, [rule["message"] for rule in schema.get("x-kubernetes-validations", ())]
    for name, below in schema.get("properties", {}).items():
        yield from durations(below, f"{path}.{name}")
    for below in (schema[name] for name in ("items", "additionalProperties") if name in schema):
        yield from durations(below, f"{path}[]")


def test_no_module_of_rules_is_forgotten() -> None:
    found = {name: import_module(f"{rules.__name__}.{name}") for _, name, _ in iter_modules(rules.__path__)}
    missing = [
        (name, message.__name__)
        for name, module in found.items()
        for message, wanted in getattr(module, "RULES", {}).items()
        if RULES.get(message) != wanted
    ]
    assert "outlier_detection_policy" in found
    assert missing == [], "a line in _MODULES of fingerpost/crd/rules/__init__.py is missing"


def test_two_modules_cannot_both_rule_a_message() -> None:
    one: Constraints = {PortSelector: (Rule("true", "of one"),)}
    other: Constraints = {ObjectReference: (Rule("true", "of another"),)}
    assert rules.merged([one, other]) == {**one, **other}
    with pytest.raises(ValueError, match="PortSelector"):
        rules.merged([one, {**other, PortSelector: ()}])


@pytest.mark.parametrize(
    ("kinds", "cel", "words"),
    [
        (
            (DestinationKind.SERVICE, DestinationKind.VIRTUAL_DESTINATION),
            ["!has(self.kind) || self.kind != 'EXTERNAL_SERVICE'"],
            "must be SERVICE or VIRTUAL_DESTINATION, not EXTERNAL_SERVICE",
        ),
        (
            (DestinationKind.EXTERNAL_SERVICE,),
            ["has(self.kind) && self.kind != 'SERVICE' && self.kind != 'VIRTUAL_DESTINATION'"],
            "must be EXTERNAL_SERVICE, not VIRTUAL_DESTINATION or SERVICE, which it also is when absent",
        ),
        (tuple(DestinationKind), [], "must be SERVICE or VIRTUAL_DESTINATION or EXTERNAL_SERVICE"),
    ],
)
def test_which_destinations_a_policy_takes(kinds: tuple[DestinationKind, ...], cel: list[str], words: str) -> None:
    made = supported_destinations(kinds)
    assert [rule.cel for rule in made] == cel
    assert supported_words(kinds) == words
    assert {rule.message for rule in made} <= {words}


@pytest.mark.parametrize("unit", ["h", "m", "s", "ms", "us", "ns"])
def test_no_duration_makes_the_rule_of_its_length_raise(unit: str) -> None:
    """CEL overflows from 2^63 ns on, and the API server then writes no status of an object that it has had before."""
    config = spec_of(find("OutlierDetectionPolicy"))["properties"]["config"]["properties"]["interval"]
    [rule] = [one["rule"] for one in config["x-kubernetes-validations"] if one["message"] == Duration.TOO_LONG]
    few_digits = re.compile(rule.partition("self.matches('")[2].partition("')")[0])
    nanos = {"h": 3600 * 10**9, "m": 60 * 10**9, "s": 10**9, "ms": 10**6, "us": 1000, "ns": 1}[unit]
    digits = max(n for n in range(1, 40) if few_digits.match("9" * n + unit))
    assert few_digits.match("000" + "9" * digits + ".5" + unit)
    assert 10**digits * nanos >= Duration.LIMIT_HOURS * 3600 * 10**9, "what is not read is too long"
    assert 10**digits * nanos * config["maxLength"] / (digits + len(unit)) < 2**63, "so many of them"
