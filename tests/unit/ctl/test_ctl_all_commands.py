"""What holds for every command there is: help, wrong flags, answers of neighbouring versions."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from admin_world import World
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ctl.__main__ import command, run
from tests.unit.ctl.commands import leaves

pytestmark = pytest.mark.timeout(120)


ALL = sorted(leaves(command()))


@pytest.mark.spec("C-33")
@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_help_tells_the_purpose_all_flags_and_an_example(path: tuple[str, ...], capsys: Any) -> None:
    one = command()
    for name in path:
        one = one.commands[name]
    assert run([*path, "--help"]) == 0
    text = capsys.readouterr().out
    assert "Example: " in " ".join(text.split())
    assert one.help.strip()
    for option in one.params:
        if option.opts[0].startswith("-"):
            assert option.opts[0] in text, option.opts[0]


@pytest.mark.spec("C-33")
@pytest.mark.parametrize("path", [path for path in ALL if path != ("license", "check")], ids=" ".join)
def test_an_unknown_flag_is_wrong_usage(path: tuple[str, ...], capsys: Any) -> None:
    assert run([*path, "--no-such-flag"]) == 2
    assert "no-such-flag" in capsys.readouterr().err


@pytest.mark.spec("C-33")
@pytest.mark.parametrize(
    ("group", "flags"),
    [("history", ("--limit", "--cluster", "show", "diff")), ("rollback", ("--workspace", "--dry-run", "release"))],
)
def test_help_of_a_group_that_is_a_command_tells_its_flags(group: str, flags: tuple[str, ...], capsys: Any) -> None:
    assert run([group, "--help"]) == 0
    text = capsys.readouterr().out
    assert all(flag in text for flag in (*flags, "Example: ")), text
    assert "\n  to " not in text, "a name inside"


@pytest.mark.parametrize(
    ("order", "said"),
    [
        (("history", "--limit", "-1"), "greater than or equal to 1"),
        (("history", "rt", "--limit", "0"), "greater than or equal to 1"),
        (("history", "show", "abc"), '"abc" is no number of a snapshot'),
        (("history", "diff", "1", "abc"), '"abc" is no number of a snapshot'),
        (("rollback", "abc"), '"abc" is no number of a snapshot'),
        (("rollback", "--dry-run", "abc"), '"abc" is no number of a snapshot'),
    ],
)
def test_numbers_of_snapshots_are_numbers(order: tuple[str, ...], said: str, capsys: Any) -> None:
    assert run(order) == 2
    assert said in capsys.readouterr().err


@pytest.mark.spec("C-36")
@pytest.mark.parametrize("given", [(), ("--license", "x"), ("anything", "--else=1", "-z"), ("-o", "json")], ids=str)
def test_no_licence_is_needed_whatever_is_passed(fingerpost: Any, given: tuple[str, ...]) -> None:
    result = fingerpost("license", "check", *given, KUBECONFIG="/no/such")
    assert (result.code, result.err) == (0, "")
    assert "no licence needed" in result.out or json.loads(result.out)["spec"] == {"needed": False}


# -------------------------------------------------------------------- neighbouring versions


ASKING = (
    ("version",),
    ("check",),
    ("cluster", "list"),
    ("cluster", "describe", "east"),
    ("get", "routetables"),
    ("describe", "rt", "shop/www"),
    ("wait", "rt", "shop/www", "--timeout", "50ms"),
    ("trace", "rt", "shop/www"),
    ("events",),
)
# What a cluster, an object, a section cannot be without; these fields may never go within this version of the API.
REQUIRED = frozenset(
    [
        "version",
        "server",
        "replica",
        "component",
        "agents",
        "cluster",
        "clusters",
        "name",
        "state",
        "sections",
        "title",
        "info",
        "tables",
        "columns",
        "rows",
        "findings",
        "code",
        "severity",
        "section",
        "object",
        "message",
        "hint",
        "items",
        "kind",
        "plural",
        "group",
        "metadata",
        "status",
        "arrival",
        "configVersion",
        "arrived",
        "total",
        "missing",
        "noProxy",
        "gateway",
        "outcome",
        "reason",
        "namespace",
        "problems",
        "path",
        "known",
        "stages",
        "gateways",
        "id",
        "time",
        "type",
    ]
)


class Neighbour:
    """A server of another version: this one's answers, with `change` done to every mapping in them."""

    def __init__(self, world: World) -> None:
        self.asks = world.app
        self.change: Callable[[dict[str, Any]], None] = lambda _: None
        self.seen: set[str] = set()
        self.app = Starlette(routes=[Route("/{path:path}", self._answer, methods=["GET", "POST"])])

    async def _answer(self, request: Request) -> Response:
        transport = httpx.ASGITransport(self.asks, client=("127.0.0.1", 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://server") as client:
            url = f"{request.url.path}?{request.url.query}"
            answered = await client.request(request.method, url, content=await request.body())
        body = copy.deepcopy(answered.json())
        self._walk(body)
        return Response(json.dumps(body), answered.status_code, media_type="application/json")

    def _walk(self, value: Any) -> None:
        if isinstance(value, dict):
            self.seen |= value.keys()
            for one in list(value.values()):
                self._walk(one)
            self.change(value)
        elif isinstance(value, list):
            for one in value:
                self._walk(one)


@pytest.fixture
def neighbour(servers: Any, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Neighbour:
    worlds = [World(), World("mgmt-1")]
    found = Neighbour(worlds[0])
    other = Neighbour(worlds[1])

    def same(value: dict[str, Any]) -> None:
        found.change(value)  # which may be another by then

    other.change = same
    for world, one in zip(worlds, (found, other), strict=True):
        world.answer("east")
        one.asks, world.app = world.app, one.app
    servers(*worlds)
    for name in ("FINGERPOST_CONFIG", "HOME"):
        monkeypatch.setenv(name, environment[name])
    return found


@pytest.mark.spec("C-48")
def test_fields_of_a_newer_server_are_ignored(neighbour: Neighbour, capsys: Any) -> None:
    def before(path: tuple[str, ...]) -> tuple[int, str]:
        return run(list(path)), capsys.readouterr().out.rpartition("\nchecked ")[0]

    plain = [before(path) for path in ASKING]
    neighbour.change = lambda value: value.update(fieldOfTomorrow={"a": [1, None]})
    assert [before(path) for path in ASKING] == plain


@pytest.mark.spec("C-48")
def test_fields_that_an_older_server_does_not_send_are_not_missed(neighbour: Neighbour, capsys: Any) -> None:
    missed, known = [], set()
    for path in ASKING:
        neighbour.seen.clear()
        neighbour.change = lambda _: None
        assert run(list(path)) in (0, 1, 4)
        optional = neighbour.seen - REQUIRED
        known |= optional
        for field in sorted(optional):
            neighbour.change = lambda value, field=field: value.pop(field, None)
            capsys.readouterr()
            try:
                if run(list(path)) not in (0, 1, 4):
                    missed.append((field, path, capsys.readouterr().err))
            except KeyError as error:
                missed.append((field, path, str(error)))
    assert {"certificate", "behind", "held", "connectedHere", "labels", "conditions", "agent"} <= known
    assert not missed
