"""The commands as a process, against real admin APIs over HTTP."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from admin_world import NOW, SECOND, WWW, World, healthy, warm
from starlette.responses import JSONResponse

from fingerpost import __version__
from fingerpost.cluster.protocol import Finding
from fingerpost.relay.applied import ScopeException
from mgmt.admin.app import app
from mgmt.admin.findings import SECTIONS
from mgmt.ingest.values import ClusterState, ClusterStates, State

COMMANDS = (
    ("version",),
    ("check",),
    ("cluster", "list"),
    ("get", "routetables"),
    ("get", "rt", "none"),
    ("get", "nonsense"),
    ("describe", "rt", "shop/www"),
    ("describe", "rt", "shop/none"),
    ("wait", "rt", "shop/www", "--timeout", "20ms"),
    ("explain", "route", "http://www.shop.example/old"),
    ("explain", "route", "ftp://www.shop.example/old"),
    ("explain", "CHK041"),
    ("release", "east"),
    ("release", "nowhere"),
    ("config", "view"),
    ("snapshot", "input"),
    ("diff", "--delete", "rt/shop/www"),
    ("diff",),
    ("whatif", "--without", "east"),
    ("conflicts",),
    ("explain", "CNF001"),
    ("whatif", "--without", "nowhere"),
    ("snapshot", "output", "--type", "nonsense"),
    ("validate", "-f", "no-such-file"),
    ("proxy", "bootstrap", "--cluster", "nowhere", "--gateway", "gw/ingress"),
    ("get",),
    ("nonsense",),
)


@pytest.mark.spec("C-8")
def test_the_version_of_the_client_comes_at_once(fingerpost: Any) -> None:
    """What takes its time to import is not imported. The time itself: `make bench-completion`."""
    result = fingerpost("version", "--client")
    assert (result.code, result.out) == (0, "client  0.1.0\n")
    script = "import sys; from ctl.__main__ import run; run(['version', '--client']); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    slow = {"httpx", "kubernetes", "grpc", "google", "cryptography", "starlette", "uvicorn", "redis", "mgmt.translate"}
    assert slow.isdisjoint(done.stdout.split()), slow.intersection(done.stdout.split())


@pytest.mark.spec("C-3")
def test_json_is_one_document_on_success_and_on_failure(fingerpost: Any, servers: Any) -> None:
    servers(healthy())
    for command in COMMANDS:
        result = fingerpost(*command, "-o", "json")
        document = json.loads(result.out)
        assert document["apiVersion"] == "meshctl/v1", command
        if result.code not in (0, 4):
            assert document["findings"][0]["message"], command


@pytest.mark.spec("C-4")
def test_a_pipe_gets_pure_ascii_without_escapes(fingerpost: Any, servers: Any) -> None:
    world = healthy()
    obj = world.body(WWW)
    obj["spec"]["http"][1]["redirect"] |= {"hostRedirekt": "x"}
    obj["metadata"]["annotations"] = {"owner": "Jürgen"}
    world.put({WWW: obj})
    servers(world)
    described = ("describe", "rt", "shop/www")
    tried = [*COMMANDS, *((*described, "-o", format_) for format_ in ("wide", "json", "yaml", "name"))]
    for command in tried:
        result = fingerpost(*command, NO_COLOR="1")
        assert (result.out + result.err).isascii(), command
        assert "\x1b" not in result.out + result.err, command
    assert "hostRedirekt" in fingerpost(*described).out
    assert "[ok] License status" in fingerpost("check").out


@pytest.mark.spec("C-6")
def test_global_flags_stand_before_and_after_the_command(fingerpost: Any, servers: Any) -> None:
    servers(healthy())
    for before, after in (
        (("-n", "shop", "-o", "name"), ()),
        ((), ("-n", "shop", "-o", "name")),
        (("-oname",), ("-nshop",)),
    ):
        assert fingerpost(*before, "get", "rt", *after).out == "routetable/shop/www\n"
    assert "no routetables found in namespace gw" in fingerpost("--namespace=gw", "get", "rt").err


def test_get_shows_how_far_each_table_is(fingerpost: Any, servers: Any) -> None:
    world = World()
    world.answer("east")
    servers(world)
    lines = fingerpost("get", "routetables").out.splitlines()
    header = [cell.strip() for cell in lines[0].split("|")]
    row = dict(zip(header, [cell.strip() for cell in lines[1].split("|")], strict=True))
    assert header == ["Cluster", "Namespace", "Name", "Workspace", "Approval", "Routes", "Gateways", "Age", "Message"]
    assert (row["Name"], row["Approval"], row["Routes"], row["Gateways"]) == ("www", "ACCEPTED", "2", "1/2")
    assert "west/gw/ingress" in fingerpost("get", "rt", "shop/www", "-o", "wide").out


@pytest.mark.parametrize(
    ("east", "west", "share"),
    [(1, 1, "2/2"), (1, 0, "2/2 (1 no proxy)"), (0, 0, "2/2 (no proxy)"), (0, None, "1/2 (no proxy)")],
)
def test_get_tells_gateways_without_a_proxy(
    fingerpost: Any, servers: Any, east: int, west: int | None, share: str
) -> None:
    world = World()
    world.answer("east", proxies=east)
    if west is not None:
        world.answer("west", proxies=west)
    servers(world)
    header, row, *_ = ([cell.strip() for cell in line.split("|")] for line in fingerpost("get", "rt").out.splitlines())
    assert row[header.index("Gateways")] == share


@pytest.mark.spec("C-47")
def test_get_gives_scripts_the_objects_themselves(fingerpost: Any, servers: Any) -> None:
    (served,) = servers(healthy())
    (item,) = json.loads(fingerpost("get", "rt", "-o", "json").out)["items"]
    assert item["cluster"] == "mgmt"
    assert item["spec"] == served.world.body(WWW)["spec"]
    path = "jsonpath={.items[*].metadata.name}/{.items[0].status.arrival.total}"
    assert fingerpost("get", "rt", "-o", path).out == "www/2\n"
    assert yaml.safe_load(fingerpost("get", "rt", "-o", "yaml").out)["items"][0]["kind"] == "RouteTable"


def test_misspelled_words_are_answered_with_the_nearest_known_ones(fingerpost: Any, servers: Any) -> None:
    servers(healthy())
    kind = fingerpost("get", "routetabel")
    assert (kind.code, 'no kind is called "routetabel"; did you mean routetable?' in kind.err) == (2, True)
    context = fingerpost("check", "--context", "demmo")
    assert (context.code, "there are: demo; did you mean demo?" in context.err) == (2, True)
    assert "hint: use one of these" in context.err
    file = fingerpost("validate", "-f", "/no/such")
    assert (file.code, "-f is /no/such, which does not exist\nhint: name a file" in file.err) == (2, True)


def test_describe_names_gateways_and_problems(fingerpost: Any, servers: Any) -> None:
    world = World()
    world.answer("east")
    obj = world.body(WWW)
    obj["spec"]["http"][1]["redirect"]["hostRedirekt"] = "x"
    world.put({WWW: obj})
    servers(world)
    text = fingerpost("describe", "rt", "shop/www").out
    assert "WARNING UnknownField" in text
    assert re.search(r"west/gw/ingress\s+missing: on its way", text)
    assert "VirtualDestination mgmt/shop/cart:80" in text
    for command in ("describe", "get"):
        none = fingerpost(command, "rt", "shop/none")
        assert (none.code, "hint: fingerpost get routetable lists all there are" in none.err) == (1, True)


def test_wait_ends_with_the_last_gateway(fingerpost: Any, servers: Any) -> None:
    result_of = servers(healthy())[0]
    result_of.do(lambda world: world.edit())
    late = fingerpost("wait", "routetable", "shop/www", "--for", "applied", "--timeout", "50ms")
    assert late.code == 4
    assert "0/2 gateways" in late.out
    assert "missing east/gw/ingress: on its way" in late.out
    result_of.do(lambda world: (world.answer("east"), world.answer("west")))
    done = fingerpost("wait", "routetable", "shop/www", "--timeout", "10s")
    assert (done.code, "applied on 2/2 gateways" in done.out) == (0, True)


def test_wait_does_not_wait_for_what_cannot_come(fingerpost: Any, servers: Any) -> None:
    servers(healthy())
    result = fingerpost("wait", "workspace", "gloo-mesh/all", "--timeout", "10m")  # a process has one minute
    assert (result.code, "--for accepted" in result.out) == (1, True)
    assert fingerpost("wait", "workspace", "gloo-mesh/all", "--for", "accepted").code == 0
    assert fingerpost("wait", "rt", "shop/www", "--for", "magic").code == 2


@pytest.mark.spec("C-10", "C-16", "C-9")
def test_check_ends_with_1_when_an_agent_is_missing(fingerpost: Any, servers: Any) -> None:
    world = healthy()
    servers(world)
    assert fingerpost("check").code == 0
    lost = ClusterState(state=State.CACHED, ready=True, since=NOW - 842 * SECOND, version="0.1.0")
    world.fed.states = ClusterStates(clusters={"east": warm(), "west": lost})
    result = fingerpost("check")
    assert result.code == 1
    assert "[fail] Mgmt server connectivity to workload agents" in result.out
    marked = re.findall(r"^\[(?:ok|warn|fail)\] (.+)$", result.out, re.MULTILINE)
    assert marked == list(SECTIONS)
    assert "CHK041 west: registered, no agent for 14m02s" in result.out
    assert "1 error, 0 warnings" in result.out
    assert fingerpost("check", "--exit-zero").code == 0
    assert fingerpost("check", "--section", "redis").code == 0
    assert fingerpost("check", "--section", "nonsense").code == 2
    document = json.loads(fingerpost("check", "-o", "json").out)
    assert [f["code"] for f in document["findings"]] == ["CHK041"]


def test_check_tells_what_is_wrong_with_the_folders_of_agents(
    fingerpost: Any, servers: Any, agent: Callable[[], str], closed_port: str
) -> None:
    world = healthy()
    servers(world, agents={"east": agent()})
    result = fingerpost("check", "--section", "sources")
    assert result.code == 1
    assert "CHK091 east: file a.yaml, line 3: repair the file" in result.out
    assert "CHK092 east: the folder /east does not exist; create it" in result.out
    assert "fingerpost release east" in result.out
    world.fed.findings = (Finding("a.yaml", "NotYaml", "file a.yaml, line 3: repair the file"),)
    assert fingerpost("check").out.count("line 3: repair") == 1, "one folder of server and agent is told of once"
    servers(healthy(), agents={"east": closed_port})
    silent = fingerpost("check")
    assert (silent.code, f"CHK094 east: its agent at {closed_port} does not answer" in silent.out) == (6, True)


def test_a_cluster_is_described_by_the_replica_that_has_its_agent(fingerpost: Any, servers: Any) -> None:
    here, there = healthy(), World("mgmt-1")
    there.fed.mine = set()
    here.answer("east", ScopeException(contribution="shop/www", code="Refused", message="no such cluster"))
    servers(there, here)
    text = fingerpost("cluster", "describe", "east").out
    for words in (
        "cluster east\n",
        "conditions    Connected=True  for ",
        "\n              EverConnected=True\n",
        "connected to  mgmt-0, from 127.0.0.1:5",
        "rejected      Refused shop/www",
        "gw/ingress  version 1 of 1, 1 proxy",
    ):
        assert words in text, text
    document = json.loads(fingerpost("cluster", "describe", "east", "-o", "json").out)
    assert document["spec"]["inputs"][0]["digest"]
    none = fingerpost("cluster", "describe", "eeast")
    assert (none.code, "there is no cluster eeast; did you mean east?" in none.err) == (1, True)
    assert "hint: fingerpost cluster list shows all" in none.err


def test_check_compares_its_own_version_with_the_servers(fingerpost: Any, servers: Any) -> None:
    world = healthy()
    world.app = app(replace(world.plane, version="0.3.0"))
    servers(world)
    result = fingerpost("check", "--section", "Versions")
    assert "command line  | 0.1.0" in result.out
    assert "CHK112 this command line has version 0.1.0, server mgmt-0 0.3.0" in result.out
    assert result.code == 0
    assert fingerpost("check", "--section", "Versions", "--fail-on", "warning").code == 1


@pytest.mark.spec("C-24")
def test_without_a_server_the_clusters_are_unknown(fingerpost: Any, servers: Any, closed_port: str) -> None:
    servers(agents={"east": "http://127.0.0.1:1", "west": "http://127.0.0.1:1"}, silent=(closed_port,))
    result = fingerpost("cluster", "list")
    assert result.code == 6
    assert [line.split(" | ")[1].strip() for line in result.out.splitlines()] == ["State", "Unknown", "Unknown"]


def test_an_unreachable_server_is_named_with_the_remedy(fingerpost: Any, servers: Any, closed_port: str) -> None:
    servers(silent=(closed_port,))
    for command in (("check",), ("get", "rt"), ("wait", "rt", "a/b"), ("release", "east"), ("version",)):
        result = fingerpost(*command)
        assert result.code == 3, command
        assert closed_port in result.err
        assert "hint: start the server" in result.err
        assert "--kubeconfig or --kubecontext" in result.err


@pytest.mark.spec("C-3")
def test_the_version_of_the_client_comes_with_the_reason_why_there_is_no_other(
    fingerpost: Any, servers: Any, closed_port: str
) -> None:
    servers(silent=(closed_port,))
    result = fingerpost("version", "-o", "json")
    document = json.loads(result.out)
    assert (result.code, document["client"]["version"], document["server"]) == (3, __version__, [])
    (finding,) = document["findings"]
    assert (finding["code"], finding["severity"]) == ("ServerUnreachable", "error")
    assert closed_port in finding["message"]
    assert "start the server" in finding["hint"]


def test_release_tells_servers_and_agent_and_says_what_was_let_go(
    fingerpost: Any, servers: Any, agent: Callable[[], str], closed_port: str
) -> None:
    world = healthy()
    world.put({WWW: None})
    servers(world, agents={"east": agent(), "west": closed_port})
    result = fingerpost("release", "east")
    assert (result.code, WWW.contribution in result.out) == (0, True)
    assert "1 contribution held by servers, 3 objects of folders, 1 gateway held by the agent" in result.out
    half = fingerpost("release", "west")
    assert (half.code, closed_port in half.err) == (6, True)
    assert "east/gw/ingress" not in world.publisher.held
    refused = fingerpost("release", "nowhere")
    assert (refused.code, "east, mgmt, west" in refused.err) == (2, True)


def test_a_long_release_is_cut_and_json_has_all_of_it(fingerpost: Any, servers: Any) -> None:
    world = healthy()
    many = [f"networking.gloo.solo.io/RouteTable/mgmt/shop/t{i:02}" for i in range(23)]
    inner = world.app

    async def released(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] != "/release":
            return await inner(scope, receive, send)
        answer = JSONResponse({"cluster": "east", "contributions": many, "objects": 0})
        return await answer(scope, receive, send)

    world.app = released  # type: ignore[assignment]
    servers(world)
    lines = fingerpost("release", "east").out.splitlines()
    assert [line.strip() for line in lines[1:21]] == many[:20]
    assert lines[21:] == ["  ... and 3 more; -o json shows all"]
    assert json.loads(fingerpost("release", "east", "-o", "json").out)["spec"]["contributions"] == many
    del many[20:]
    assert len(fingerpost("release", "east").out.splitlines()) == 21


def test_explain_asks_the_server(fingerpost: Any, servers: Any) -> None:
    servers(healthy())
    found = fingerpost(
        "explain", "route", "http://www.shop.example/old", "--gateway", "east/gw/ingress", "--header", "x=y"
    )
    assert (found.code, "moved" in found.out) == (0, True)
    assert fingerpost("explain", "route", "http://x", "--gateway", "east/gw").code == 2
    assert fingerpost("explain", "route", "http://x", "--gateway", "east/gw/none").code == 2
    assert "hint: " in fingerpost("explain", "chk041").out
    assert fingerpost("explain", "CHK999").code == 2


@pytest.mark.spec("C-29")
def test_validate_needs_no_server(fingerpost: Any, tmp_path: Path, closed_port: str) -> None:
    good = tmp_path / "good.yaml"
    good.write_text("{apiVersion: v1, kind: Namespace, metadata: {name: shop}}\n")
    assert fingerpost("validate", "-f", str(good)).code == 0
    head = "apiVersion: networking.gloo.solo.io/v2, kind: RouteTable, metadata: {name: a, namespace: b}"
    table = f"{{{head}, spec: {{http: 3}}}}"
    bad = fingerpost("validate", "-f", "-", stdin=table)
    assert (bad.code, "spec.http" in bad.out) == (1, True)
    assert fingerpost("validate", "-f", str(tmp_path / "none")).code == 2
    misnamed = fingerpost("validate", "-f", "-", stdin=table.replace("name: a,", "name: A_a,"))
    assert (misnamed.code, "RouteTable b/A_a" in misnamed.out, "spec.http" in misnamed.out) == (1, True, True)
    (tmp_path / "empty").mkdir()
    empty = fingerpost("validate", "-f", str(tmp_path / "empty"))
    assert (empty.code, "warning: no manifest is in" in empty.err) == (0, True)


def test_contexts_are_written_used_and_shown(fingerpost: Any, tmp_path: Path) -> None:
    assert fingerpost("config", "view").code == 2, "a contexts file that was named must be there"
    assert (
        fingerpost(
            "config", "set-context", "a", "--server", "http://127.0.0.1:1", "--agent", "east=http://127.0.0.1:2"
        ).code
        == 0
    )
    assert fingerpost("config", "set-context", "b", "--server", "http://127.0.0.1:3").code == 0
    assert fingerpost("config", "use", "b").code == 0
    written = yaml.safe_load((tmp_path / "config.yaml").read_text())
    assert written == {
        "current": "b",
        "contexts": {
            "a": {"server": "http://127.0.0.1:1", "agents": {"east": "http://127.0.0.1:2"}},
            "b": {"server": "http://127.0.0.1:3"},
        },
    }
    assert "there are: a, b" in fingerpost("config", "use", "c").err
    assert "127.0.0.1:1" in fingerpost("check", "--context", "a").err
    (tmp_path / "config.yaml").write_text("contexts: [1]")
    assert fingerpost("check").code == 2


def test_a_server_that_answers_only_others_is_forbidden(fingerpost: Any, servers: Any) -> None:
    (served,) = servers(healthy())
    inner = served.world.app

    async def elsewhere(scope: Any, receive: Any, send: Any) -> None:
        await inner({**scope, "client": ("10.0.0.1", 1)}, receive, send)

    world = World()
    world.app = elsewhere  # type: ignore[assignment]
    servers(world)
    result = fingerpost("get", "rt")
    assert (result.code, "loopback" in result.err) == (5, True)
