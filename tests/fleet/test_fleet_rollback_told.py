"""What tells of a rollback, while one cluster is rolled back and after: each command of the command line."""

from __future__ import annotations

import getpass
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.fleet import fleet_manifests as m
from tests.fleet.fleet_harness import GATEWAY, Fleet, running_fleet
from tests.fleet.fleet_network import until
from tests.fleet.fleet_person import Person, started

pytestmark = [pytest.mark.fleet, pytest.mark.envoy, pytest.mark.redis]


class _Back(NamedTuple):
    """`west` is at snapshot `then`, with /cart; it was edited to /basket in snapshot `now`."""

    fleet: Fleet
    person: Person
    then: int
    now: int
    name: str


@asynccontextmanager
async def _west_is_back(root: Path) -> AsyncIterator[_Back]:
    async with running_fleet(root) as fleet:
        fleet.write_world()
        _, person = await started(fleet)
        then = await person.newest()
        fleet.write_www("/basket")
        for cluster in fleet.clusters:
            await fleet.answers(cluster, "/basket", f"{cluster} 0")
        now = await person.newest()
        order = await person.asks("rollback", str(then), "--cluster", "west")
        await fleet.answers("west", "/cart", "west 0")
        yield _Back(fleet, person, then, now, order["spec"]["rollback"]["id"])


async def test_the_name_of_a_rollback_is_never_the_number_of_a_snapshot(tmp_path: Path) -> None:
    async with _west_is_back(tmp_path) as (fleet, person, then, now, name):
        assert name == f"r{now}", "it is made of the version at which it was asked for"
        code, said = await person.says("rollback", name)
        assert code == 2
        assert f"fingerpost rollback release {name} ends it" in said
        second = (await person.asks("rollback", str(now), "--cluster", "east"))["spec"]["rollback"]["id"]
        code, said = await person.says("rollback", "release", str(now))
        both = f"{name} (to snapshot {then}), or {second} (to snapshot {now})"
        assert (code, said.splitlines()[0]) == (2, f"error: {now} can be {both}; give the name with its r")
        code, said = await person.says("rollback", "release", str(then))
        assert code == 2
        assert f"no rollback {then} is active: {second} to snapshot {now}, {name} to snapshot {then}" in said
        assert (await person.says("rollback", "release", second))[0] == 0
        code, said = await person.says("rollback", "release", name.removeprefix("r"))
        assert (code, said.startswith(f"released rollback {name}: cluster west")) == (0, True), said
        await fleet.answers("west", "/basket", "west 0")


async def test_trace_names_the_gateways_that_a_rollback_holds_and_when_it_lets_them_go(tmp_path: Path) -> None:
    async with _west_is_back(tmp_path) as (fleet, person, then, _, name):
        why = f"RolledBack: rollback {name} of cluster west to snapshot {then}"
        east, west = await _rows(person)
        assert (east["applied"] != "", east["reason"]) == (True, "")
        assert (west["applied"] != "", west["reason"]) == (True, why), "west had it before it was rolled back"
        fleet.write_www("/third")
        await fleet.answers("east", "/third", "east 0")
        await until(lambda: _has(person, "east"), why="the server has heard of it")
        assert await _rows(person) == [await _row(person, "east"), {"name": GATEWAY, "applied": "", "reason": why}]
        said = (await person.says("trace", "routetable", "shop/www"))[1]
        assert [cell.strip() for cell in said.splitlines()[-1].split("|")[1:]] == ["west/gw/ingress", "-", "-", why]
        fleet.write("mgmt", "new.yaml", m.table("new", [m.says("/new", "new")]))
        await fleet.answers("east", "/new", "new", host="new.example")
        assert [row["reason"] for row in await _rows(person, "shop/new")] == ["", why]
        assert (await person.says("rollback", "release"))[0] == 0
        await fleet.answers("west", "/third", "west 0")
        await until(lambda: _has(person, "west"), why="the server has heard of it")
        for table in ("shop/www", "shop/new"):
            east, west = await _rows(person, table)
            assert (west["reason"], west["releasedFrom"]) == ("", name)
            assert west["applied"] > east["applied"] != ""
            assert "releasedFrom" not in east
        said = (await person.says("trace", "routetable", "shop/www"))[1]
        assert said.splitlines()[-1].endswith(f"after the release of rollback {name}")


async def test_trace_says_applied_of_no_gateway_that_a_second_rollback_still_holds(tmp_path: Path) -> None:
    async with _west_is_back(tmp_path) as (fleet, person, then, now, name):
        second = (await person.asks("rollback", str(now), "--workspace", "all"))["spec"]["rollback"]["id"]
        fleet.write_www("/third")
        await until(lambda: _reasons(person, f"RolledBack: rollback {second} "), 20, "both wait")
        assert (await person.says("rollback", "release", second))[0] == 0
        await fleet.answers("east", "/third", "east 0")
        await until(lambda: _has(person, "east"), why="the server has heard of it")
        why = f"RolledBack: rollback {name} of cluster west to snapshot {then}"
        assert await _row(person, "west") == {"name": GATEWAY, "applied": "", "reason": why}
        said = (await person.says("trace", "routetable", "shop/www"))[1]
        assert [cell.strip() for cell in said.splitlines()[-1].split("|")[1:]] == ["west/gw/ingress", "-", "-", why]
        assert (await person.says("rollback", "release"))[0] == 0
        await fleet.answers("west", "/third", "west 0")
        await until(lambda: _has(person, "west"), why="the server has heard of it")
        assert (await _row(person, "west"))["releasedFrom"] == name


async def _reasons(person: Person, begin: str) -> bool:
    found = await _rows(person)
    return bool(found) and all(row["reason"].startswith(begin) for row in found)


async def _rows(person: Person, table: str = "shop/www") -> list[dict[str, str]]:
    (found,) = (await person.asks("trace", "routetable", table))["items"]
    return [gateway for cluster in found["clusters"] for gateway in cluster["gateways"]]


async def _row(person: Person, cluster: str) -> dict[str, str]:
    (found,) = (await person.asks("trace", "routetable", "shop/www"))["items"]
    return next((c["gateways"][0] for c in found["clusters"] if c["name"] == cluster), {})


async def _has(person: Person, cluster: str) -> bool:
    return bool((await _row(person, cluster)).get("applied"))


async def test_clusters_events_and_history_tell_of_rollbacks_and_of_their_release(tmp_path: Path) -> None:
    async with _west_is_back(tmp_path) as (_, person, then, now, name):
        assert await _column(person, "Rollback") == {"east": "-", "west": name}
        found = {c["name"]: c["rollbacks"] for c in (await person.asks("cluster", "list"))["items"]}
        assert (found["east"], [(r["id"], r["snapshot"]) for r in found["west"]]) == ([], [(name, then)])
        assert f"rolled back   rollback {name}: cluster west is at snapshot {then} since" in await _describe(
            person, "west"
        )
        assert "rolled back   none" in await _describe(person, "east")
        everything = (await person.asks("rollback", str(then)))["spec"]["rollback"]["id"]
        assert (await person.says("rollback", "release"))[0] == 0
        assert await _column(person, "Rollback") == {"east": "-", "west": "-"}

        me = getpass.getuser()
        back, all_back = f"back to snapshot {then}, by {me}", f"rolled everything back to snapshot {then}, by {me}"
        took = f"released cluster west from snapshot {then}: {everything} takes its place, by {me}"
        told = [
            ("RolledBack", "west", name, f"rolled cluster west {back}"),
            ("RollbackReleased", "west", name, took),
            ("RolledBack", "", everything, all_back),
            ("RollbackReleased", "", everything, f"released everything from snapshot {then}, by {me}"),
        ]
        events = (await person.asks("events"))["items"]
        of_rollbacks = [e for e in events if "ollback" in e["type"] or e["type"] == "RolledBack"]
        assert [(e["type"], e["cluster"], e["about"], e["message"]) for e in of_rollbacks] == [
            (type_, cluster, f"rollback {one}", text) for type_, cluster, one, text in told
        ]
        _, said = await person.says("history")
        rows = [[cell.strip() for cell in line.split("|")] for line in said.splitlines()[1:6]]
        assert [(row[0], row[3]) for row in rows[:4]] == [(one, text) for _, _, one, text in reversed(told)]
        assert [row[2] for row in rows[:4]] == ["-", "1", "-", "1"], "west was there already"
        assert rows[4][0] == str(now)
        listed = await person.asks("history", "--limit", "1")
        assert [(o["action"], o["rollback"]) for o in listed["orders"]][-1] == ("rolledBack", name)
        assert [i["number"] for i in listed["items"]] == [now]
        assert (await person.asks("history", "routetable", "shop/www"))["orders"] == []


async def _column(person: Person, title: str) -> dict[str, str]:
    _, said = await person.says("cluster", "list")
    header, *rows = ([cell.strip() for cell in line.split("|")] for line in said.splitlines())
    return {row[0]: row[header.index(title)] for row in rows}


async def _describe(person: Person, cluster: str) -> str:
    return (await person.says("cluster", "describe", cluster))[1]


async def test_check_asks_nobody_to_correct_what_only_waits_for_a_release(tmp_path: Path) -> None:
    async with _west_is_back(tmp_path) as (fleet, person, _, _, name):
        unknown = m.table("new", [m.to("/new", {"ref": {"name": "none", "namespace": "shop"}, "port": {"number": 80}})])
        fleet.write("mgmt", "new.yaml", unknown)
        await until(lambda: _wrong(person, 2), why="both are in it")
        wrong, waiting = await _wrong(person, 2)
        assert waiting["message"].startswith("RouteTable shop/www in cluster mgmt is WARNING: this version is stored")
        assert waiting["hint"] == (
            f"nothing is wrong with the object; it goes out with: fingerpost rollback release {name}"
        )
        assert "shop/new" in wrong["message"]
        assert "correct the named field" in wrong["hint"], "held back as well, and with a mistake of its own"


async def _wrong(person: Person, least: int) -> list[dict[str, str]]:
    """Findings about objects, when there are so many."""
    _, said = await person.says("check", "server", "-o", "json", "-q")
    found = [f for f in json.loads(said)["findings"] if f["code"] in ("CHK071", "CHK072")]
    return found if len(found) >= least else []


async def test_answers_of_what_is_written_say_that_a_rollback_keeps_it_from_gateways(tmp_path: Path) -> None:
    async with _west_is_back(tmp_path) as (_, person, then, _, name):
        m.write(tmp_path / "third.yaml", m.table("www", [m.to("/third", m.CART)], host=m.HOST))
        edit, kept = ("-f", str(tmp_path / "third.yaml")), tmp_path / "kept.json"
        kept.write_text((await person.says("snapshot", "input", "-o", "json", "-q"))[1])
        until_then = f"until fingerpost rollback release {name}"
        note = f"note: cluster west is rolled back to snapshot {then} ({name}); "
        note += f"what is written since does not reach it {until_then}"
        asked = (("diff", *edit), ("whatif", "--without", "east", *edit), ("conflicts", *edit))
        for words in (*asked, ("diff", *edit, "--snapshot", str(kept)), ("history", "diff", str(then), "--routes")):
            _, said = await person.says(*words)
            assert [line for line in said.splitlines() if line.startswith("note:")] == [note], words
            _, said = await person.says(*words, "-o", "json", "-q")
            assert [(r["id"], r["name"]) for r in json.loads(said)["spec"]["rollbacks"]] == [(name, "west")], words
        words = ("explain", "route", f"http://{m.HOST}/basket/7")
        assert note in (await person.says(*words))[1].splitlines()
        for gateway, told in (("west", [name]), ("east", [])):
            explained = await person.asks(*words, "--gateway", f"{gateway}/{GATEWAY}")
            assert [r["id"] for r in explained["spec"]["rollbacks"]] == told
        for scope, what in ((("--workspace", "all"), "workspace all"), ((), "everything")):
            begun = (await person.asks("rollback", str(then), *scope))["spec"]["rollback"]["id"]
            _, said = await person.says("diff", *edit)
            assert f"note: {what} is rolled back to snapshot {then} ({begun}); " in said
            assert f"does not reach gateways until fingerpost rollback release {begun}" in said
        assert (await person.says("rollback", "release"))[0] == 0
        assert "note:" not in (await person.says("diff", *edit))[1]


async def test_what_is_deleted_while_it_is_rolled_back_is_told_wherever_it_is_looked_for(tmp_path: Path) -> None:
    async with _west_is_back(tmp_path) as (fleet, person, then, _, name):
        (fleet.folder("mgmt") / "www.yaml").unlink()
        await until(lambda: _is_gone(person), 20, "the server has taken it out")
        await fleet.answers("west", "/cart", "west 0")
        there = f"RouteTable shop/www in mgmt was deleted and is in force as of snapshot {then}"
        until_then = f"{there}, until fingerpost rollback release {name}"
        for words in (("describe", "routetable", "shop/www"), ("get", "routetable", "shop/www")):
            code, said = await person.says(*words)
            assert (code, said.count(f"there is no RouteTable shop/www in any cluster; {until_then}")) == (1, 1), said
        code, said = await person.says("get", "routetable", "-A")
        assert (code, until_then in said) == (0, True), said
        assert until_then not in (await person.says("get", "virtualgateway", "-A"))[1]
        _, said = await person.says("rollback", "status")
        assert f"in force by {name} although deleted since: RouteTable shop/www in mgmt" in said
        _, said = await person.says("check", "server")
        assert "in force although deleted since: RouteTable shop/www in cluster mgmt" in said
        fleet.write_www("/again")
        await until(lambda: _is_there(person), 20, "the server has taken it in")
        assert "deleted" not in (await person.says("rollback", "status"))[1]


async def _is_gone(person: Person) -> bool:
    return (await person.says("get", "routetable", "shop/www"))[0] == 1


async def _is_there(person: Person) -> bool:
    return not await _is_gone(person)
