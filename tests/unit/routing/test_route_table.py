"""A table compiled: routes in order, what is wrong with each, and what answers in its place."""

from __future__ import annotations

import pytest
from table_texts import KEY, Services, compiled, found

from fingerpost.problems import Severity
from mgmt.translate import ir
from mgmt.translate.routing.plan import PlannedForward
from mgmt.translate.routing.resolve import resolve_routes
from mgmt.translate.routing.route_table import port_problems

CART = "{ref: {name: cart, namespace: shop}}"


def broken(action: str, matchers: str = "[{uri: {prefix: /a}}]") -> tuple[str, str]:
    """The message of the only route's error, and the body of its answer."""
    plan = compiled(f"[{{name: r, matchers: {matchers}, {action}}}]")
    (message,) = found(plan)
    (route,) = plan.routes
    assert isinstance(route.action, ir.DirectResponse)
    assert route.action.status == 500
    assert message.startswith('route "r" (http[0]): ')
    return message.removeprefix('route "r" (http[0]): '), route.action.body.removeprefix(
        "invalid route configuration: "
    )


@pytest.mark.spec("R-59", "R-61")
def test_routes_keep_their_order_and_their_matchers() -> None:
    plan = compiled(
        """
        - name: z
          matchers: [{uri: {prefix: /}, method: GET}, {uri: {exact: /1}}, {port: 443}]
          directResponse: {status: 200}
        - {name: a, matchers: [{uri: {prefix: /a}}], directResponse: {status: 201}}
        - {directResponse: {status: 202}}
        """
    )
    assert [route.name.partition("-www")[0] for route in plan.routes] == ["z", "a", "route-2"]
    assert [len(route.matchers) for route in plan.routes] == [3, 1, 1]
    assert plan.routes[2].matchers == (ir.Matcher(),)
    assert plan.routes[1].source == ir.Source(KEY, "spec.http[1]")
    assert plan.problems == ()


@pytest.mark.spec("R-130")
def test_route_labels_win_over_table_labels() -> None:
    plan = compiled("[{labels: {val: bar, own: x}, directResponse: {status: 200}}]", {"val": "foo", "env": "prod"})
    assert plan.routes[0].labels == (("env", "prod"), ("own", "x"), ("val", "bar"))


@pytest.mark.spec("R-54", "R-55")
def test_default_destination() -> None:
    plan = compiled(
        f"""
        - {{name: d, matchers: [{{uri: {{prefix: /d}}}}], forwardTo: {{pathRewrite: /x}}}}
        - {{name: e, forwardTo: {{destinations: [{CART}]}}}}
        """,
        defaultDestination={"ref": {"name": "fallback"}, "weight": 7},
    )
    services = Services("cart", "fallback")
    by_default, explicit = (route.action for route in resolve_routes(plan, services).routes)
    assert isinstance(by_default, ir.Forward)
    assert isinstance(explicit, ir.Forward)
    assert by_default.path_rewrite == "/x"
    assert [(w.destination.object.name, w.weight) for w in by_default.destinations] == [("fallback", 100)]
    assert [w.destination.object.name for w in explicit.destinations] == ["cart"]
    assert services.asked == ["spec.defaultDestination", "spec.http[1].forwardTo.destinations[0]"]


@pytest.mark.parametrize(
    ("action", "reason", "kind"),
    [
        ("forwardTo: {}", "forwardTo has no destinations and the table has no defaultDestination", "destination"),
        (
            "forwardTo: {destinations: [{weight: 100}, {weight: 25}]}",
            "weights of destinations sum to 125, must be 100",
            "weights",
        ),
        ("delegate: {routeTables: [{name: x}]}", "delegate is not implemented in this version", "delegation"),
        ("graphql: {}", "graphql routes are not supported by this installation", "action"),
        ("redirect: {}", "redirect needs hostRedirect or pathRedirect", "action"),
        ("directResponse: {status: 199}", "directResponse.status must be 200 to 599, not 199", "action"),
        ("directResponse: {status: 600}", "directResponse.status must be 200 to 599, not 600", "action"),
    ],
)
def test_broken_actions(action: str, reason: str, kind: str) -> None:
    assert broken(action) == (reason, kind)


def test_exactly_one_action() -> None:
    assert "found none" in broken("labels: {}")[0]
    assert (
        "found redirect and directResponse" in broken("redirect: {pathRedirect: /}, directResponse: {status: 200}")[0]
    )


@pytest.mark.spec("R-83")
def test_rewrites_that_exclude_each_other() -> None:
    rewrites = "pathRewrite: /x, regexRewrite: {pattern: {regex: a}, substitution: b}"
    both = f"forwardTo: {{{rewrites}, destinations: [{CART}]}}"
    assert broken(both) == ("only one of pathRewrite and regexRewrite may be set", "action")
    both = f"forwardTo: {{hostRewrite: a.b, autoHostRewrite: true, destinations: [{CART}]}}"
    assert broken(both) == ("only one of hostRewrite and autoHostRewrite may be set", "action")


@pytest.mark.spec("R-96")
def test_too_large_a_body() -> None:
    assert "has 1048577 bytes" in broken(f"directResponse: {{status: 200, body: {'x' * (1024 * 1024 + 1)}}}")[0]


@pytest.mark.parametrize(
    ("rewrite", "reason"),
    [
        ("pattern: {regex: '('}, substitution: x", "regexRewrite.pattern.regex: "),
        ("pattern: {regex: ''}, substitution: x", "regexRewrite.pattern.regex is empty"),
        ("pattern: {regex: a}", "regexRewrite.substitution is empty"),
        (r"pattern: {regex: '(a)'}, substitution: '\2'", r"regexRewrite.substitution: \2 refers to a group"),
        (r"pattern: {regex: a}, substitution: 'x\'", "regexRewrite.substitution: a backslash must be followed"),
    ],
)
def test_broken_regex_rewrites(rewrite: str, reason: str) -> None:
    message, kind = broken(f"forwardTo: {{regexRewrite: {{{rewrite}}}, destinations: [{CART}]}}")
    assert message.startswith(reason)
    assert kind == "action"


def test_path_rewrite_needs_a_plain_path() -> None:
    message, _ = broken(f"forwardTo: {{pathRewrite: /x, destinations: [{CART}]}}", "[{uri: {regex: /a.*}}]")
    assert message == "pathRewrite cannot be used with a regex matcher; use regexRewrite"


@pytest.mark.spec("R-3", "R-4", "R-164")
@pytest.mark.parametrize(
    ("matcher", "reason"),
    [
        ("{uri: {regex: '/(x'}}", "matchers[0].uri.regex: "),
        (f"{{uri: {{regex: {'a' * 1025}}}}}", "matchers[0].uri.regex: "),
        (r"{uri: {regex: '\pL{200}'}}", "matchers[0].uri.regex: "),
        ("{uri: {suffix: .html}}", 'matchers[0].uri.suffix: ".html" is not supported'),
        ("{uri: {exact: /a, prefix: /b}}", "matchers[0].uri: only one of exact and prefix may be set"),
        (
            "{headers: [{name: x, value: a}, {name: X, value: b}]}",
            'matchers[0].headers: more than one condition on header "x"',
        ),
        ("{queryParameters: [{name: p}, {name: p, value: b}]}", "matchers[0].queryParameters: more than one condition"),
        ("{headers: [{name: x, regex: true}]}", "matchers[0].headers[0]: regex is true but value is empty"),
        ("{headers: [{name: x, value: '(', regex: true}]}", "matchers[0].headers[0].value: "),
        ("{queryParameters: [{name: p, value: '(', regex: true}]}", "matchers[0].queryParameters[0].value: "),
        ("{headers: [{name: 'a b'}]}", 'matchers[0].headers[0].name: "a b" is no header name'),
        ("{headers: [{}]}", 'matchers[0].headers[0].name: "" is no header name'),
        ("{queryParameters: [{value: x}]}", "matchers[0].queryParameters[0].name: "),
        ("{port: 65536}", "matchers[0].port: 65536 is no port"),
    ],
)
def test_a_route_with_only_a_broken_matcher_is_left_out(matcher: str, reason: str) -> None:
    plan = compiled(f"[{{name: r, matchers: [{matcher}], directResponse: {{status: 200}}}}]")
    assert plan.routes == ()
    (message,) = found(plan)
    assert message.startswith(f'route "r" (http[0]): {reason}')


def test_the_matchers_that_remain_answer_500() -> None:
    message, kind = broken("directResponse: {status: 200}", "[{uri: {prefix: /a}}, {uri: {suffix: x}}]")
    assert message.startswith("matchers[1].uri.suffix")
    assert kind == "matchers"


def test_identical_conditions_are_one() -> None:
    plan = compiled(
        "[{matchers: [{headers: [{name: x, value: a}, {name: X, value: a}]}], directResponse: {status: 200}}]"
    )
    assert plan.problems == ()
    assert plan.routes[0].matchers[0].headers == (ir.HeaderMatch(name="x", kind=ir.MatchKind.EXACT, value="a"),)


@pytest.mark.spec("R-155", "R-162")
def test_a_missing_destination_replaces_the_action_only() -> None:
    plan = compiled(
        """
        - {name: list, matchers: [{uri: {prefix: /cart}}], forwardTo: {destinations: [{ref: {name: nope}}]}}
        - {name: rest, forwardTo: {destinations: [{ref: {name: cart}}]}}
        """
    )
    resolved = resolve_routes(plan, Services("cart"))
    assert [type(route.action) for route in resolved.routes] == [ir.DirectResponse, ir.Forward]
    assert resolved.routes[0].action == ir.DirectResponse(status=500, body="invalid route configuration: destination")
    assert resolved.routes[0].matchers == plan.routes[0].matchers
    assert [(p.severity, p.message) for p in resolved.problems] == [
        (Severity.INVALID, 'route "list" (http[0]): destination Service shop/nope in cluster east-1 not found')
    ]
    assert [d.object.name for d in resolved.destinations] == ["cart"]


@pytest.mark.spec("R-156", "R-159")
def test_the_same_plan_recovers_when_the_service_appears() -> None:
    plan = compiled("[{name: a, forwardTo: {destinations: [{ref: {name: cart}}, {ref: {name: new}}]}}]")
    assert plan.problems == ()
    before, after = resolve_routes(plan, Services("cart")), resolve_routes(plan, Services("cart", "new"))
    assert len(before.problems) == 1
    assert before.destinations == ()
    assert after.problems == ()
    assert len(after.destinations) == 2


def test_a_destination_used_twice_is_named_once() -> None:
    plan = compiled(f"[{{forwardTo: {{destinations: [{CART}, {CART}]}}}}]")
    resolved = resolve_routes(plan, Services("cart"))
    action = resolved.routes[0].action
    assert isinstance(action, ir.Forward)
    assert [w.weight for w in action.destinations] == [50, 50]
    assert len(resolved.destinations) == 1


@pytest.mark.spec("R-60")
def test_routes_after_a_catch_all_are_named() -> None:
    plan = compiled(
        """
        - {name: get, matchers: [{method: GET}], directResponse: {status: 200}}
        - {name: tls, matchers: [{port: 443}], directResponse: {status: 200}}
        - {name: tls-too, matchers: [{port: 443, uri: {prefix: /a}}], directResponse: {status: 200}}
        - {name: all, matchers: [{uri: {regex: '.*'}}], directResponse: {status: 200}}
        - {name: late, matchers: [{uri: {prefix: /b}}], directResponse: {status: 200}}
        """
    )
    assert found(plan, Severity.WARNING) == [
        'route "tls-too" (http[2]): unreachable, since route "tls" before it matches every request',
        'route "late" (http[4]): unreachable, since route "all" before it matches every request',
    ]


def test_a_port_no_listener_has() -> None:
    plan = compiled("[{name: a, matchers: [{port: 444}, {port: 443}], directResponse: {status: 200}}]")
    assert [p.message for p in port_problems(plan, {80, 443})] == [
        'route "a" (http[0]): no listener of the table\'s gateways has port 444'
    ]


def test_what_this_version_lacks_is_said() -> None:
    plan = compiled(tcp=[{}], tls=[{}], workloadSelectors=[{}], applyToDestinations=[{}])
    assert [p.path for p in plan.problems] == [
        "spec.tcp",
        "spec.tls",
        "spec.applyToDestinations",
        "spec.workloadSelectors",
    ]
    assert all(p.severity == Severity.WARNING and "not implemented in this version" in p.message for p in plan.problems)
    child = compiled("[{directResponse: {status: 200}}]", hosts=[], virtualGateways=[])
    assert child.hosts == ()
    assert [p.path for p in child.problems] == ["spec.hosts"]


def test_nothing_is_resolved_for_a_route_that_is_broken_anyway() -> None:
    plan = compiled(f"[{{matchers: [{{}}, {{uri: {{suffix: x}}}}], forwardTo: {{destinations: [{CART}]}}}}]")
    services = Services("cart")
    assert not isinstance(plan.routes[0].action, PlannedForward)
    assert resolve_routes(plan, services).destinations == ()
    assert services.asked == []
