"""What a status says of the findings about an object: each tells which field it is about, and no field twice."""

from __future__ import annotations

import pytest

from fingerpost.objects import ObjectKey
from fingerpost.problems import Reporter
from mgmt.translate.status import fold

TABLE = ObjectKey("networking.gloo.solo.io/RouteTable", "mgmt", "shop", "www")


@pytest.mark.parametrize(
    ("path", "code", "message", "said"),
    [
        (
            "spec.config.timeout",
            "WholeSeconds",
            "1.5s counts as 2s; write whole seconds",
            "spec.config.timeout: 1.5s counts as 2s; write whole seconds",
        ),
        ("spec.tcp", "NotImplemented", "not in this version", "spec.tcp: not in this version"),
        ("spec.http", "SomeCode", "https is no matter here", "spec.http: https is no matter here"),
        ("spec.tcp", "NotImplemented", "tcp: not in this version", "tcp: not in this version"),
        ("spec.hosts", "NotImplemented", "hosts is empty: no delegation", "hosts is empty: no delegation"),
        (
            "spec.ports[0].x",
            "NotImplemented",
            "spec.ports[0].x is not implemented",
            "spec.ports[0].x is not implemented",
        ),
        ("spec.services", "Several", "two match; narrow spec.services", "two match; narrow spec.services"),
        ("", "PolicyConflict", "conflicts with another", "conflicts with another"),
    ],
)
def test_a_message_begins_with_its_field_unless_it_names_it(path: str, code: str, message: str, said: str) -> None:
    report = Reporter(TABLE)
    report.warn(path, code, message)
    assert fold(report.problems, 1).message == said


@pytest.mark.spec("R-155")
def test_a_message_that_says_in_its_own_words_where_stands_alone() -> None:
    report = Reporter(TABLE)
    report.invalid("spec.http[0]", "RouteMisconfigured", 'route "list" (http[0]): not found', located=True)
    report.warn("spec.config.timeout", "WholeSeconds", "1.5s counts as 2s")
    assert (
        fold(report.problems, 1).message == 'route "list" (http[0]): not found; spec.config.timeout: 1.5s counts as 2s'
    )
