"""What is in force of what is wanted: kept, held back, refused, re-admitted. And that it survives on disk."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from xds_support import GATEWAY, Rule, cluster, routes, service, table, template

from agent.apply.gateway import GatewayState
from agent.apply.journal import Journal, recorded, restored
from agent.apply.substitute import substitute
from agent.xds.joined import Joined
from fingerpost.relay.pieces import Piece, PieceList, Role, join, piece
from tests.splicing import diff

ROUTES = ("routes", "http")


def tables(*names: str, prefix: str = "/", host: str = "") -> list[Rule]:
    return [Rule(table(n), "cart", f"{prefix}{n}", host=host or f"{n}.example") for n in names]


def served(state: GatewayState) -> PieceList:
    return state.effective[ROUTES]


def test_a_pinned_contribution_is_taken_from_the_held_list_in_its_place() -> None:
    held = routes(tables("a", "b", "c", host="one") + tables("x"))
    wanted = routes(tables("a", "b", "c", prefix="/new", host="one") + tables("y"))
    mixed = substitute(wanted, held, {table("b"), table("x")})
    expected = tables("a", prefix="/new", host="one") + tables("b", host="one") + tables("c", prefix="/new", host="one")
    assert mixed is not None
    assert set(mixed) == set(routes([*expected, *tables("x"), *tables("y")]))
    assert [p.contribution for p in mixed][:5] == ["", "", table("a"), table("b"), table("c")]


def test_a_new_host_of_a_pinned_contribution_does_not_appear() -> None:
    held = routes(tables("a"))
    assert substitute(routes(tables("a", "b")), held, {table("b")}) is held


def test_a_removed_resource_stays_for_its_pinned_contribution_only() -> None:
    held = routes(tables("a", "b"))
    assert substitute(None, held, {table("b")}) == routes(tables("b"))
    assert substitute(None, held, {table("z")}) is None


@given(
    st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from("xyz"), st.integers(0, 2)), max_size=12),
    st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from("xyz"), st.integers(0, 2)), max_size=12),
    st.sets(st.sampled_from("abcd")),
)
def test_substitution_takes_exactly_the_pinned_pieces_from_held(
    wanted: list[tuple[str, str, int]], held: list[tuple[str, str, int]], pinned: set[str]
) -> None:
    def built(rules: list[tuple[str, str, int]]) -> PieceList:
        return routes([Rule(table(o), f"c{v}", f"/{o}", host=h) for o, h, v in sorted(set(rules))])

    def of(pieces: PieceList, owners: set[str]) -> list[bytes]:
        return [p.hash for p in pieces if p.contribution in owners]

    pins = {table(p) for p in pinned}
    others = {table(p) for p in "abcd"} - pins
    result = substitute(built(wanted), built(held), pins)
    assert result is not None
    assert sorted(of(result, pins)) == sorted(of(built(held), pins))
    assert sorted(of(result, others)) == sorted(of(built(wanted), others))
    join(result)
    assert result.pieces[0].role == Role.TOP


def test_keep_holds_the_version_that_was_in_force_and_its_end_brings_the_wanted_one() -> None:
    state = GatewayState(GATEWAY)
    state.apply(1, {ROUTES: routes(tables("a", "b"))}, {}, confirmed=False, now=1)
    new = routes(tables("a", "b", prefix="/new"))
    state.apply(2, {ROUTES: new}, {table("a"): "frozen"}, confirmed=False, now=2)
    assert set(served(state)) == set(routes(tables("a") + tables("b", prefix="/new")))
    assert [(d.contribution, d.code, d.message) for d in state.deviations()] == [(table("a"), "Kept", "frozen")]
    assert state.apply(3, {}, {}, confirmed=False, now=3) == {ROUTES}
    assert served(state) == new


@pytest.mark.spec("M-50")
@pytest.mark.parametrize("gone", [False, True])
def test_an_emptied_scope_takes_nothing_away(gone: bool) -> None:
    state = GatewayState(GATEWAY)
    names = [f"t{i}" for i in range(20)]
    full = {
        ("cluster", "cart"): cluster("cart", owner=service("cart")),
        ("endpoints", "cart"): template("cart"),
        ROUTES: routes(tables(*names)),
    }
    state.apply(1, full, {}, confirmed=False, now=1)
    if gone:
        state.gone(2, confirmed=False, now=2)
    else:
        state.apply(2, dict.fromkeys(full), {}, confirmed=False, now=2)
    assert state.effective == full
    assert {d.code for d in state.deviations()} == {"MassDeletionHeld"}
    assert state.release() == set(full)
    assert state.effective == {}


@pytest.mark.spec("M-50")
@pytest.mark.parametrize("gone", [False, True])
def test_what_is_only_kept_is_not_lost_with_an_emptied_scope(gone: bool) -> None:
    """A server that knows one cluster yet has told what it knows and to keep the rest; then it tells nothing at all."""
    state = GatewayState(GATEWAY)
    full = routes(tables(*(f"t{i}" for i in range(20))))
    state.apply(1, {ROUTES: full}, {}, confirmed=False, now=1)
    state.apply(2, {ROUTES: routes(tables("t0", "t1"))}, {"@cluster/east": "cold"}, confirmed=False, now=2)
    assert served(state) == full
    if gone:
        state.gone(3, confirmed=False, now=3)
    else:
        state.apply(3, {ROUTES: None}, {}, confirmed=False, now=3)
    assert served(state) == full
    assert {d.code for d in state.deviations()} == {"MassDeletionHeld"}
    state.apply(4, {}, {}, confirmed=True, now=4)
    assert state.effective == {}


def test_the_end_of_keeping_takes_away_what_nobody_wants_unless_it_is_most() -> None:
    state = GatewayState(GATEWAY)
    names = [f"t{i}" for i in range(30)]
    state.apply(1, {ROUTES: routes(tables(*names))}, {}, confirmed=False, now=1)
    state.apply(2, {ROUTES: routes(tables("t0"))}, {"@cluster/east": "cold"}, confirmed=False, now=2)
    kept = {table(n): "frozen" for n in names[:21]}
    state.apply(3, {}, kept, confirmed=False, now=3)
    assert served(state) == routes(tables(*names[:21]))  # 9 of 30
    state.apply(4, {}, {}, confirmed=False, now=4)
    assert served(state) == routes(tables(*names[:21]))  # 20 of 21
    assert len(state.lost) == 20


def test_losing_most_is_held_until_confirmed_and_losing_some_is_not() -> None:
    state = GatewayState(GATEWAY)
    names = [f"t{i}" for i in range(30)]
    state.apply(1, {ROUTES: routes(tables(*names))}, {}, confirmed=False, now=1)
    few = routes(tables(*names[:20]))
    state.apply(2, {ROUTES: few}, {}, confirmed=False, now=2)
    assert served(state) == few
    one = routes(tables("t0", prefix="/new"))
    state.apply(3, {ROUTES: one}, {}, confirmed=False, now=3)
    assert len(served(state)) == len(few)
    assert set(routes(tables("t0", prefix="/new"))) <= set(served(state))  # the edit itself goes through
    state.apply(4, {ROUTES: routes(tables(*names[:15]))}, {}, confirmed=False, now=4)
    assert len(state.lost) == 5  # what came back has healed
    state.apply(5, {}, {}, confirmed=True, now=5)
    assert served(state) == routes(tables(*names[:15]))


def test_a_cluster_that_a_kept_route_names_is_not_removed() -> None:
    state = GatewayState(GATEWAY)
    both = {("cluster", "cart"): cluster("cart"), ("cluster", "other"): cluster("other")}
    state.apply(1, {**both, ROUTES: routes(tables("a"))}, {}, confirmed=False, now=1)
    moved = routes([Rule(table("a"), "elsewhere", host="a.example")])
    state.apply(2, {**dict.fromkeys(both), ROUTES: moved}, {table("a"): "pinned"}, confirmed=False, now=2)
    assert set(state.effective) == {("cluster", "cart"), ROUTES}
    state.apply(3, {}, {}, confirmed=False, now=3)
    assert set(state.effective) == {ROUTES}


def test_a_refused_contribution_is_found_and_tried_again_when_it_changes() -> None:
    state = GatewayState(GATEWAY)
    names = [f"t{i}" for i in range(16)]
    state.apply(1, {ROUTES: routes(tables(*names))}, {}, confirmed=False, now=1)
    state.accepted({ROUTES: served(state)})
    bad = {p for p in routes(tables("t5", prefix="/bad")) if p.contribution}
    state.apply(2, {ROUTES: routes(tables(*names, prefix="/bad"))}, {}, confirmed=False, now=2)
    offers = 0
    while True:
        offers += 1
        assert offers < 20
        if bad & set(served(state)):
            assert state.refuse({ROUTES: served(state)}, "no", "p", 3)
        else:
            state.accepted({ROUTES: served(state)})
            if not state.readmit():
                break
    assert state.refused.keys() == {table("t5")}
    expected = [r for n in names for r in tables(n, prefix="/" if n == "t5" else "/bad")]
    assert served(state) == routes(expected)
    state.apply(3, {ROUTES: routes(tables(*names, prefix="/good"))}, {}, confirmed=False, now=4)
    assert not state.refused
    assert served(state) == routes(tables(*names, prefix="/good"))


def test_the_journal_gives_back_what_was_written_also_when_its_end_is_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "gw.state"
    journal = Journal(path)
    state = GatewayState(GATEWAY)
    names = [f"t{i}" for i in range(30)]
    first = routes(tables(*names))
    state.apply(1, {ROUTES: first, ("cluster", "cart"): cluster("cart")}, {}, confirmed=False, now=1)
    data, replaces = journal.record(state)
    assert replaces
    target = routes(tables(*names[:12]) + tables("t12", prefix="/new") + tables(*names[13:]))
    state.apply(
        2, {ROUTES: first.spliced(diff(first.pieces, target.pieces))}, {table("t0"): "why"}, confirmed=False, now=2
    )
    more, replaces = journal.record(state)
    assert not replaces
    assert len(more) < len(data) / 3
    state.apply(3, {ROUTES: routes(tables("t0"))}, {table("t0"): "why"}, confirmed=False, now=3)
    last, _ = journal.record(state)

    path.write_bytes(data + more + last)
    loaded = Journal(path).load()
    assert loaded is not None
    assert (loaded.version, loaded.wanted, loaded.effective) == (3, state.wanted, state.effective)
    assert (loaded.keep, loaded.lost) == (state.keep, state.lost)
    assert len(loaded.lost) == 29

    path.write_bytes(data + more[: len(more) // 2])
    cut = Journal(path).load()
    assert cut is not None
    assert (cut.version, cut.wanted[ROUTES]) == (1, first)


def test_who_has_read_a_state_records_it_as_it_was() -> None:
    state = GatewayState(GATEWAY)
    for number in range(300):  # in a set of so many the order depends on what came when
        state.apply(number + 1, {("cluster", f"c{number}"): cluster(f"c{number}")}, {}, confirmed=True, now=1)
    read = restored(recorded(state))
    assert read is not None
    assert recorded(read) == recorded(state)


def test_a_state_that_the_file_holds_already_is_not_written_again(tmp_path: Path) -> None:
    journal, state = Journal(tmp_path / "gw.state"), GatewayState(GATEWAY)
    first = routes(tables("a", "b"))
    state.apply(1, {ROUTES: first}, {}, confirmed=False, now=1)
    assert journal.record(state)[0]
    state.apply(1, {ROUTES: first}, {}, confirmed=True, now=2)
    assert journal.record(state) == (b"", False)
    state.apply(1, {}, {table("a"): "why"}, confirmed=False, now=3)
    assert journal.record(state)[0], "a new pin is written, though no list and no version changed"
    state.apply(2, {}, {table("a"): "why"}, confirmed=False, now=4)
    assert journal.record(state)[0], "so is a new version"


@given(st.data())
def test_the_joined_bytes_are_those_of_a_full_join_after_any_edits(data: st.DataObject) -> None:
    bodies = st.tuples(st.sampled_from(Role), st.binary(min_size=1, max_size=3))
    made = bodies.map(lambda b: piece(b[0], "", bytes((0x12,)) + b[1]))

    def formed(pieces: list[Piece]) -> list[Piece]:
        """An item belongs to a group: one that has none becomes a field of its own."""
        out: list[Piece] = []
        for p in pieces:
            alone = p.role == Role.ITEM and (not out or out[-1].role == Role.TOP)
            out.append(piece(Role.TOP, "", p.body) if alone else p)
        return out

    now = PieceList(formed(data.draw(st.lists(made, max_size=12))))
    joined = Joined()
    assert joined.value(now) == join(now)
    for _ in range(4):
        start = data.draw(st.integers(0, len(now)))
        stop = data.draw(st.integers(start, len(now)))
        target = formed([*now.pieces[:start], *data.draw(st.lists(made, max_size=4)), *now.pieces[stop:]])
        now = now.spliced(diff(now.pieces, target))
        assert joined.value(now) == join(now)


def test_a_whole_list_counts_like_splices_do() -> None:
    """After a resync nothing is known of the former list; two equal routes of one table are still two."""
    state = GatewayState(GATEWAY)
    twice = [*tables("a", host="one"), *tables("a", host="one"), *tables("b", host="one")]
    state.apply(1, {ROUTES: routes(twice)}, {}, confirmed=False, now=1)
    state.apply(2, {ROUTES: routes(twice[1:])}, {}, confirmed=False, now=2)
    assert state.effective[ROUTES] == routes(twice[1:])
    state.apply(3, {ROUTES: routes(twice[2:])}, {}, confirmed=False, now=3)
    state.apply(4, {ROUTES: routes([])}, {}, confirmed=False, now=4)
    assert state.lost.keys() == {table("b")}  # the last one of the gateway
