"""Which cluster is meant, and what is refused before any is asked. Nothing listens at the API servers named here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from admin_world import World
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from ctl.kube.charts import CRDS, PLATFORM, chart
from ctl.kube.deployments import Workload, remedy
from ctl.kube.deployments import said as said_of
from ctl.kube.helm import Release
from ctl.kube.mgmt import trouble


@pytest.fixture
def kubeconfig(tmp_path: Path, closed_port: str) -> Path:
    server = closed_port.replace("http:", "https:")
    path = tmp_path / "kubeconfig"
    contexts = [{"name": name, "context": {"cluster": "none", "user": "me"}} for name in ("hub", "spoke")]
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "hub",
        "clusters": [{"name": "none", "cluster": {"server": server}}],
        "users": [{"name": "me", "user": {"token": "canary"}}],
        "contexts": contexts,
    }
    path.write_text(yaml.safe_dump(config))
    return path


def test_a_kubeconfig_that_is_named_wins_over_the_contexts_file(
    fingerpost: Any, servers: Any, kubeconfig: Path, closed_port: str
) -> None:
    servers(World())
    there = str(kubeconfig)
    assert fingerpost("version", KUBECONFIG=there).code == 0  # of the contexts file
    for arguments in (("--kubeconfig", there), ("--kubecontext", "hub")):
        result = fingerpost("version", *arguments, KUBECONFIG=there)
        assert (result.code, closed_port.partition("//")[2] in result.err) == (3, True), result
        assert "canary" not in result.out + result.err
    result = fingerpost("version", FINGERPOST_KUBECONTEXT="hub", KUBECONFIG=there)
    assert result.code == 3


def test_without_a_contexts_file_the_usual_kubeconfig_counts(
    fingerpost: Any, kubeconfig: Path, tmp_path: Path, closed_port: str
) -> None:
    nowhere = closed_port.partition("//")[2]
    result = fingerpost("version", KUBECONFIG=str(kubeconfig), FINGERPOST_CONFIG="")
    assert (result.code, nowhere in result.err) == (3, True), result
    several = fingerpost("version", KUBECONFIG=f"{tmp_path / 'missing'}:{kubeconfig}", FINGERPOST_CONFIG="")
    assert (several.code, nowhere in several.err) == (3, True), several
    (tmp_path / ".kube").mkdir()
    kubeconfig.rename(tmp_path / ".kube" / "config")
    result = fingerpost("get", "routetables", FINGERPOST_CONFIG="", KUBECONFIG="", NO_COLOR="1")
    assert (result.code, nowhere in result.err) == (3, True), result
    result = fingerpost("check", "--context", "none-such", FINGERPOST_CONFIG="", KUBECONFIG="")
    assert (result.code, "none-such" in result.err) == (2, True), result


_COMMANDS = [
    ("check",),
    ("check", "agent"),
    ("get", "routetables"),
    ("wait", "routetable", "shop/www"),
    ("events", "-w"),
    ("cluster", "list"),
    ("cluster", "accept", "east"),
    ("cluster", "register", "east", "--remote-context", "spoke"),
    ("cluster", "deregister", "east", "--remote-context", "spoke"),
    ("uninstall", "--yes"),
]


@pytest.mark.parametrize("command", _COMMANDS, ids=" ".join)
def test_a_kubeconfig_that_is_not_there_is_named_with_what_named_it(
    fingerpost: Any, kubeconfig: Path, tmp_path: Path, command: tuple[str, ...]
) -> None:
    """In one line and with a remedy, by every command that needs one."""
    missing = tmp_path / "missing"
    said = f"the kubeconfig {missing} does not exist"
    by_flag = fingerpost(*command, "--kubeconfig", str(missing))
    assert (by_flag.code, by_flag.err) == (2, f"error: --kubeconfig: {said}\nhint: name one that exists\n")
    by_variable = fingerpost(*command, KUBECONFIG=str(missing), FINGERPOST_CONFIG="")
    remedy = "hint: name one that exists, or another with --kubeconfig"
    assert (by_variable.code, by_variable.err) == (2, f"error: KUBECONFIG: {said}\n{remedy}\n")
    of_context = fingerpost(*command, "--kubecontext", "hubb", KUBECONFIG=str(kubeconfig))
    assert (of_context.code, of_context.err) == (
        2,
        f"error: --kubecontext: the kubeconfig {kubeconfig} has no context hubb; did you mean hub?\n"
        "hint: name one of its contexts: hub, spoke\n",
    )


def test_a_file_that_is_no_kubeconfig_is_told_as_one_document(fingerpost: Any, tmp_path: Path) -> None:
    (tmp_path / "other").write_text("[]")
    result = fingerpost("cluster", "list", "--kubeconfig", str(tmp_path / "other"), "-o", "json")
    (found,) = json.loads(result.out)["findings"]
    assert (result.code, found["code"]) == (2, "Kubeconfig"), result
    assert found["message"] == f"--kubeconfig: the kubeconfig {tmp_path / 'other'} is empty"


def test_what_the_flags_of_the_workload_cluster_name_is_told_as_theirs(
    fingerpost: Any, kubeconfig: Path, tmp_path: Path
) -> None:
    for command in (("cluster", "register", "east"), ("cluster", "deregister", "east")):
        for arguments, said in (
            (("--remote-context", "none"), f"--remote-context: the kubeconfig {kubeconfig} has no context none"),
            (("--remote-kubeconfig", str(tmp_path)), f"--remote-kubeconfig: the kubeconfig {tmp_path} is a folder"),
        ):
            result = fingerpost(*command, "--kubeconfig", str(kubeconfig), *arguments)
            assert (result.code, said in result.err) == (2, True), result


def test_a_context_may_be_one_of_a_kubeconfig(fingerpost: Any, kubeconfig: Path, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("{}")
    written = fingerpost("config", "set-context", "prod", "--kubecontext", "hub", "--kubeconfig", str(kubeconfig))
    assert written.code == 0, written
    kept = yaml.safe_load((tmp_path / "config.yaml").read_text())["contexts"]["prod"]
    assert kept == {"kubeconfig": str(kubeconfig), "kubecontext": "hub"}
    assert fingerpost("version", "--context", "prod").code == 3
    both = fingerpost("config", "set-context", "prod", "--server", "http://127.0.0.1:1")
    assert (both.code, "address of a server and a kubeconfig" in both.err) == (2, True), both


def test_a_cluster_without_any_of_the_kinds_is_checked(fingerpost: Any, servers: Any, tmp_path: Path) -> None:
    """An API server answers with null where a list of names only is empty."""

    async def lists(request: Request) -> JSONResponse:
        if request.url.path.endswith("/customresourcedefinitions"):
            return JSONResponse({"kind": "PartialObjectMetadataList", "metadata": {}, "items": None})
        return JSONResponse({"kind": "Status", "code": 404, "message": "there is none"}, 404)

    world = World()
    world.app = Starlette(routes=[Route("/{path:path}", lists)])
    (served,) = servers(world)
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "bare",
        "clusters": [{"name": "bare", "cluster": {"server": served.url}}],
        "users": [{"name": "me", "user": {"token": "canary"}}],
        "contexts": [{"name": "bare", "context": {"cluster": "bare", "user": "me"}}],
    }
    (tmp_path / "bare").write_text(yaml.safe_dump(config))
    result = fingerpost("check", "--kubeconfig", str(tmp_path / "bare"))
    assert (result.code, "Traceback" in result.err) == (3, False), result
    assert "there is no Deployment gloo-mesh-mgmt-server" in result.out + result.err


@pytest.mark.spec("C-22")
@pytest.mark.parametrize("name", ["a_b", "Prod", "1st", "x" * 64, "-a"])
def test_a_name_that_is_none_is_refused_before_anything_is_asked(fingerpost: Any, kubeconfig: Path, name: str) -> None:
    command = ("cluster", "register", "--remote-context", "spoke", "--kubeconfig", str(kubeconfig), "--", name)
    result = fingerpost(*command)
    assert (result.code, f'"{name}", it must be 1 to 63 lower-case letters' in result.err) == (2, True), result


@pytest.mark.spec("C-3")
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("cluster", "register", "east"), "--remote-context is missing"),
        (("cluster", "deregister", "east"), "--remote-context is missing"),
        (("cluster", "register", "east", "--remote-context", "x", "--profiles", "mgmt-server"), "that is no agent"),
        (("cluster", "register", "east", "--remote-context", "x", "--label", "a"), '--label is "a"'),
        (("cluster", "register", "east", "--remote-context", "x"), "is no cluster"),
        (("install", "--profiles", "nonsense"), '"nonsense" of --profiles is unknown'),
        (("install", "--profiles", "agent,ratelimit"), '"ratelimit" of --profiles is not in this version'),
        (("install", "--chart-file", "no-such"), "no-such does not exist"),
        (("install", "--chart-file", "/"), "--chart-file is /, which is no chart"),
        (("install", "--chart-values-file", "no-such"), "--chart-values-file is no-such, which does not exist"),
        (("install", "--chart-values-file", "-"), "values are not read from standard input"),
        (("install", "--cluster-name", "A_B"), '--cluster-name is "A_B", it must be 1 to 63 lower-case letters'),
        (("install", "--cluster-domain", "a..b"), '--cluster-domain is "a..b", which is no DNS name'),
        (("install", "--release-name", "A_B"), '--release-name is "A_B", which is no name of a release'),
        (("install", "-n", "A_B"), 'namespace is "A_B", it must be 1 to 63 lower-case letters'),
        (("uninstall", "--release-name", "x" * 54), "which is no name of a release"),
        (("cluster", "deregister", "A_B", "--remote-context", "x"), 'the name of the cluster is "A_B"'),
        (
            ("cluster", "register", "east", "--remote-context", "x", "--relay-server-address", "a:0"),
            '--relay-server-address is "a:0", it must be HOST:PORT',
        ),
        (("uninstall",), "the context demo is no cluster"),
        (("check", "agent"), "asks the API server of a workload cluster"),
        (("check", "nonsense"), 'no check of "nonsense"'),
    ],
)
def test_wrong_usage_is_told_as_one_document(
    fingerpost: Any, servers: Any, arguments: tuple[str, ...], said: str
) -> None:
    servers(World())
    result = fingerpost(*arguments, "-o", "json")
    assert result.code == 2, result
    assert said in json.loads(result.out)["findings"][0]["message"]


def test_profiles_are_combined_from_left_to_right(fingerpost: Any) -> None:
    result = fingerpost("install", "--profiles", "mgmt-server,agent", "-r", "--cluster-name", "c1", "--print-values")
    assert yaml.safe_load(result.out) == {
        "common": {"cluster": "c1"},
        "glooMgmtServer": {"enabled": True, "registerCluster": True},
        "glooAgent": {"enabled": True},
    }


def test_a_release_without_any_object_can_be_read() -> None:
    """As Helm prints one."""
    told = {"name": "gloo-platform", "info": {"status": "deployed"}, "version": 1, "namespace": "gloo-mesh"}
    assert Release.read(json.dumps(told)) == Release("deployed", "", {}, "")


def test_the_charts_come_with_the_command_line() -> None:
    build = (Path(__file__).parents[3] / "pyproject.toml").read_text()
    for name in (CRDS, PLATFORM):
        assert (chart(name) / "Chart.yaml").is_file()
        assert f'"charts/{name}" = "ctl/charts/{name}"' in build


def test_what_is_not_ready_is_told_with_where_it_is_and_how_to_find_out_more() -> None:
    gone = Workload("gloo-mesh", "gloo-mesh-agent", 0, 1, False, ["gloo-mesh-agent-1: ImagePullBackOff (no such)"])
    told = "Deployment gloo-mesh/gloo-mesh-agent: 0 of 1 pods ready (gloo-mesh-agent-1: ImagePullBackOff (no such))"
    look = "kubectl -n gloo-mesh describe pods -l app=gloo-mesh-agent shows why"
    assert (said_of(gone), remedy(gone).startswith(look)) == (told, True)
    off = gone._replace(wanted=0, troubles=[])
    assert (off.health, "is scaled to 0" in said_of(off), "scale deployment" in remedy(off)) == (
        "Unhealthy",
        True,
        True,
    )
    some = gone._replace(ready=1, wanted=2)
    assert remedy(some) == f"wait until they are ready; if they stay as they are, {look}"


# As Kubernetes keeps the end of a log: its first line may be half a line.
_LOG = """er", "event": "started"}
{"event": "process.failed", "reason": "Secret x: tls.crt holds no PEM certificate", "level": "error"}
fingerpost-mgmt: Secret x: tls.crt holds no PEM certificate; bring a matching pair
"""
_ENDED = {"terminated": {"exitCode": 1, "reason": "Error", "message": _LOG}}
_BACK_OFF = {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s"}}


@pytest.mark.parametrize(
    ("status", "said"),
    [
        ({"conditions": [{"type": "Ready", "status": "True"}]}, ""),
        ({"phase": "Pending"}, "starting"),
        ({"phase": "Running"}, "not ready yet"),
        (
            {"conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "full"}]},
            "Unschedulable (full)",
        ),
        (
            {"containerStatuses": [{"name": "a", "state": {"waiting": {"reason": "ImagePullBackOff"}}}]},
            "container a ImagePullBackOff",
        ),
        (
            {"containerStatuses": [{"name": "a", "state": {"waiting": {"reason": "ContainerCreating"}}}]},
            "starting",
        ),
        (
            {"containerStatuses": [{"name": "a", "state": {"terminated": {"exitCode": 3}}}]},
            "container a ended with exit code 3",
        ),
        (
            {"containerStatuses": [{"name": "a", "ready": False, "state": {"running": {}}, "lastState": _ENDED}]},
            "container a ended with exit code 1 and was started again (Secret x: tls.crt holds no PEM certificate)",
        ),
        (
            {"containerStatuses": [{"name": "a", "state": _BACK_OFF, "lastState": _ENDED}]},
            "container a CrashLoopBackOff (Secret x: tls.crt holds no PEM certificate)",
        ),
        ({"containerStatuses": [{"name": "a", "state": _BACK_OFF}]}, "container a CrashLoopBackOff (back-off 10s)"),
        (
            {"containerStatuses": [{"name": "a", "state": {"terminated": {"exitCode": 2, "message": "a\nKilled\n"}}}]},
            "container a ended with exit code 2 (Killed)",
        ),
        (
            {"containerStatuses": [{"name": "a", "ready": True, "state": {"running": {}}, "lastState": _ENDED}]},
            "starting",
        ),
    ],
)
def test_why_a_pod_is_not_ready_is_said_in_kubernetes_words(status: dict[str, Any], said: str) -> None:
    assert trouble({"status": status}) == said
