"""What `check` says of certificates, versions and security, and `/clusters/NAME` of one cluster."""

from __future__ import annotations

import dataclasses
from typing import Any

import msgspec
import pytest
from admin_world import DAY, NOW, World, own_certificate, warm

from fingerpost.relay.applied import ScopeException
from mgmt.admin.app import app
from mgmt.ingest.values import ClusterState, ClusterStates, State
from mgmt.relay.gate import RelayInfo


def section(body: dict[str, Any], title: str) -> dict[str, Any]:
    (found,) = [s for s in body["sections"] if s["title"] == title]
    return found


def codes(found: dict[str, Any]) -> list[tuple[str, str]]:
    return [(f["code"], f["object"]) for f in found["findings"]]


async def test_certificates_are_shown_with_the_days_that_are_left() -> None:
    world = World()
    found = section(await world.get("/check"), "Certificates")
    assert codes(found) == []
    assert [row[:2] for row in found["tables"][0]["rows"]] == [
        ["server", "300"],
        ["signing", "300"],
        ["client east", "10"],
        ["client west", "10"],
    ]


async def test_what_ends_soon_and_what_has_ended_is_told() -> None:
    world = World()
    world.relay = RelayInfo(certificates=(own_certificate("server", 36), own_certificate("signing", -1)))
    east = warm(certificate_begins=NOW - 28 * DAY, certificate_ends=NOW + 2 * DAY)
    west = warm(certificate_begins=NOW - 31 * DAY, certificate_ends=NOW - DAY)
    world.fed.states = ClusterStates(clusters={"east": east, "west": west})
    found = section(await world.get("/check"), "Certificates")
    assert codes(found) == [
        ("CHK102", "server of mgmt-0"),
        ("CHK101", "signing of mgmt-0"),
        ("CHK102", "client east"),
        ("CHK101", "client west"),
    ]
    assert [f["severity"] for f in found["findings"]] == ["warning", "error", "warning", "error"]
    world.relay = RelayInfo(certificates=(own_certificate("server", 37),))  # just above a tenth
    world.fed.mine = set()  # both agents are connected to another replica, which tells
    assert codes(section(await world.get("/check"), "Certificates")) == []


@pytest.mark.parametrize(
    ("version", "told"), [("0.1.0", False), ("0.2.7", False), ("0.3.0", True), ("1.1.0", True), ("dev", False)]
)
async def test_an_agent_of_a_version_too_far_away_is_told(version: str, told: bool) -> None:
    world = World()
    east = msgspec.structs.replace(warm(), version=version)
    world.fed.states = ClusterStates(clusters={"east": east, "west": warm()})
    found = section(await world.get("/check"), "Versions")
    assert found["tables"][0]["rows"][1] == ["agent east", version]
    assert codes(found) == ([("CHK111", "east")] if told else [])


@pytest.mark.parametrize(
    ("insecure", "relay", "code"),
    [
        (False, RelayInfo(), ""),
        (True, RelayInfo(), "CHK045"),
        (False, RelayInfo(asks_certificates=False), "CHK121"),
        (False, RelayInfo(asks_certificates=False, requires_cluster_token=True), ""),
    ],
)
async def test_a_relay_that_proves_little_is_told(insecure: bool, relay: RelayInfo, code: str) -> None:
    world = World()
    world.relay = relay
    world.app = app(dataclasses.replace(world.plane, insecure=insecure))
    found = section(await world.get("/check"), "Security")
    assert codes(found) == ([(code, "mgmt-0")] if code else [])


async def test_one_cluster_is_described_with_all_that_is_known() -> None:
    world = World()
    refused = ScopeException(contribution="shop/www", code="Refused", message="no such cluster")
    world.answer("east", refused)
    found = (await world.get("/clusters/east"))["cluster"]
    assert [(c["type"], c["status"]) for c in found["conditions"]] == [
        (kind, "True") for kind in ("Connected", "Warm", "EverConnected", "ClientCertificateValid")
    ]
    assert found["certificate"]["until"].startswith("2027")
    (rejected,) = found["exceptions"]
    assert (rejected["object"], rejected["scope"], rejected["message"]) == ("shop/www", "gw/ingress", "no such cluster")
    assert sum(i["objects"] for i in found["inputs"]) == found["objects"] > 0
    assert {i["digest"] for i in found["inputs"]} == {
        i["digest"] for i in (await world.get("/clusters/west"))["cluster"]["inputs"]
    }
    nearly = await world.get("/clusters/eeast", 404)
    assert nearly["error"]["message"] == "there is no cluster eeast; did you mean east?"


async def test_a_cluster_that_was_never_there_is_described_too() -> None:
    world = World()
    world.fed.states = ClusterStates(clusters={"new": ClusterState(state=State.REGISTERED, ready=False)})
    found = (await world.get("/clusters/new"))["cluster"]
    assert (found["certificate"], found["inputs"], found["exceptions"]) == ({}, [], [])


async def test_a_secret_that_is_not_what_is_in_use_is_told() -> None:
    world = World()
    world.relay = RelayInfo(unusable=(("relay-root-tls-secret", "secret relay-root-tls-secret has no ca.crt"),))
    found = section(await world.get("/check"), "Certificates")
    assert codes(found) == [("CHK103", "relay-root-tls-secret")]
    (told,) = found["findings"]
    assert (told["severity"], "secret relay-root-tls-secret has no ca.crt; what it" in told["message"]) == (
        "error",
        True,
    )
