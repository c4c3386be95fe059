"""The scopes of a list of routes: the same virtual hosts, told apart by host, and at the cost of an edit."""

from __future__ import annotations

from envoy.config.route.v3 import route_pb2, scoped_route_pb2
from hypothesis import given
from hypothesis import strategies as st
from xds_support import Rule, routes, table

from agent.xds.scopes import MARK, REST, Scopes, can_be_scoped
from fingerpost.relay.pieces import PieceList, join
from tests.splicing import diff

_HOSTS = ("a.example", "B.example", "c.example", "*.example", "*", "odd:80")
_rules = st.lists(
    st.builds(lambda h, n: Rule(table(h), "cart", f"/{n}", host=h), st.sampled_from(_HOSTS), st.integers(0, 3)),
    max_size=8,
)


def made(scopes: Scopes) -> dict[str, route_pb2.RouteConfiguration]:
    out = {}
    for name, resource in scopes.resources.items():
        scope = scoped_route_pb2.ScopedRouteConfiguration.FromString(resource.body)
        assert scope.name == scope.route_configuration.name == resource.name == name
        assert [f.string_key for f in scope.key.fragments] == [name]
        out[name] = scope.route_configuration
    return out


def scopes_of(pieces: PieceList) -> Scopes:
    scopes = Scopes("http")
    scopes.update(pieces)
    return scopes


@given(_rules)
def test_every_virtual_host_is_in_the_scope_of_its_host_and_nothing_is_lost(rules: list[Rule]) -> None:
    pieces = routes(sorted(rules, key=lambda r: r.host))
    whole = route_pb2.RouteConfiguration.FromString(join(pieces))
    found = []
    for name, config in made(scopes_of(pieces)).items():
        for host in config.virtual_hosts:
            (domain,) = host.domains
            plain = "*" not in domain and ":" not in domain
            assert name == f"http/{domain.lower() if plain else REST}"
            assert host.metadata.filter_metadata.pop(MARK).fields["found"].bool_value
            host.ClearField("metadata")
            found.append(host)
        assert config.ignore_port_in_host_matching == whole.ignore_port_in_host_matching
    assert sorted(found, key=lambda h: h.name) == sorted(whole.virtual_hosts, key=lambda h: h.name)


@given(st.lists(_rules, min_size=2, max_size=6), st.data())
def test_after_any_edits_they_are_those_of_the_list_alone(versions: list[list[Rule]], data: st.DataObject) -> None:
    """An older list may be asked for again: two proxies are not always at the same one."""
    lists = [routes(sorted(versions[0], key=lambda r: r.host))]
    for rules in versions[1:]:
        new = routes(sorted(rules, key=lambda r: r.host))
        lists.append(lists[-1].spliced(diff(lists[-1].pieces, new.pieces)))
    scopes = Scopes("http")
    seen: list[tuple[PieceList, dict[str, str]]] = []
    for pieces in [*lists, *data.draw(st.lists(st.sampled_from(lists), max_size=4))]:
        scopes.update(pieces)
        now = {name: resource.version for name, resource in scopes.resources.items()}
        assert now == {name: resource.version for name, resource in scopes_of(pieces).resources.items()}
        assert scopes.rest == (f"http/{REST}" in now)
        for before, versions_then in seen:
            told = scopes.changed_since(before)
            differing = {n for n in now.keys() | versions_then.keys() if now.get(n) != versions_then.get(n)}
            assert told is None or differing <= told
        seen.append((pieces, now))


def test_an_edit_makes_one_scope() -> None:
    before = routes([Rule(table(f"t{i}"), "cart", "/", host=f"h{i}.example") for i in range(1000)])
    edited = [Rule(table(f"t{i}"), "cart", "/new" if i == 0 else "/", host=f"h{i}.example") for i in range(1000)]
    after = before.spliced(diff(before.pieces, routes(edited).pieces))
    scopes = scopes_of(before)
    kept = dict(scopes.resources)
    scopes.update(after)
    assert scopes.changed_since(before) == {"http/h0.example"}
    assert [n for n, r in scopes.resources.items() if kept[n] is not r] == ["http/h0.example"]


def test_a_name_that_a_header_or_a_format_would_change_stays_plain() -> None:
    assert can_be_scoped("https.8443.https-8443-www-shop-example.edge.gw")
    assert not any(can_be_scoped(name) for name in ("http:80", "Http", "a%b", "a b", ""))
