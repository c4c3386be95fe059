"""`validate`: what it finds, where it says that it stands, and what it takes for granted."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import NoReturn

import pytest

from mgmt.validate import Finding, Level, Report, render, validate_path

GATEWAY = """
apiVersion: networking.gloo.solo.io/v2
kind: VirtualGateway
metadata: {name: edge, namespace: shop}
spec: {workloads: [{selector: {}}], listeners: [{http: {}, port: {number: 80}}]}
---
"""
GOOD = """
apiVersion: networking.gloo.solo.io/v2
kind: RouteTable
metadata: {name: www, namespace: shop}
spec:
  hosts: [www.shop.example]
  virtualGateways: [{name: edge}]
  http: [{directResponse: {status: 200}}]
---
"""
SERVICE = """
apiVersion: v1
kind: Service
metadata: {name: cart, namespace: shop}
spec: {ports: [{port: 80}], selector: {app: cart}}
---
"""
INGRESS = """
apiVersion: v1
kind: Service
metadata: {name: ingress, namespace: shop}
spec: {ports: [{port: 81, targetPort: 8081}], selector: {app: gateway}}
---
apiVersion: v1
kind: Pod
metadata: {name: envoy-0, namespace: shop, labels: {app: gateway, gateway.gloo.solo.io/type: envoy}}
---
"""


def forward(cluster: str) -> str:
    return f"""
apiVersion: networking.gloo.solo.io/v2
kind: RouteTable
metadata: {{name: api, namespace: shop}}
spec:
  hosts: [api.shop.example]
  virtualGateways: [{{name: edge, cluster: mgmt}}]
  http: [{{forwardTo: {{destinations: [{{ref: {{name: cart, cluster: {cluster}}}, port: {{number: 80}}}}]}}}}]
---
"""


def checked(text: str) -> Report:
    return validate_path(["-"], stdin=text.encode())


def errors(report: Report) -> list[str]:
    return [f"{f.object}: {f.message}" for f in report.findings if f.level is Level.ERROR]


def codes(report: Report) -> dict[str, Level]:
    return {f.code: f.level for f in report.findings}


MARKED = """\
# the gateway comes first
apiVersion: networking.gloo.solo.io/v2
kind: VirtualGateway
metadata: {name: edge, namespace: shop}
spec:
  workloads:
  - selector: {}
  listeners:
  - http: {}
    port: {number: 80}
---
apiVersion: networking.gloo.solo.io/v2
kind: VirtualGateway
metadata: {name: half, namespace: shop}
spec:
  listeners:
  - http: {}
    port: {number: 80}
  - http: {}                             # <2>
---

# after an empty line
---
apiVersion: v1
kind: List
items:
- apiVersion: networking.gloo.solo.io/v2
  kind: RouteTable
  metadata: {name: main, namespace: shop}
  spec:
    hosts: [www.shop.example]
    virtualGateways:
    - name: edge
    - name: nowhere                      # <3>
    http:
    - &first
      name: one
      matchers: [{uri: {prefix: /a}}]
      forwardTo: &forward
        destinations:
        # the Service is called cart
        - ref:                           # <4>
            name: kart
          port: {number: 80}
    - name: two
      forwardTo:
        <<: *forward
        pathRewright: /                  # <5>
    - name: three
      matchers:
      - uri: {prefix: /c}
      typo: 1                            # <6>
      directResponse: {status: 200}
- apiVersion: networking.gloo.solo.io/v2 # <7>
  kind: Nonsense
  metadata: {name: x}
- kind: RouteTable                       # <8>
  metadata: {name: y}
--- # the last one
apiVersion: networking.gloo.solo.io/v2
kind: RouteTable
metadata:
  name: late
  namespace: shop
spec:
  hosts:
  - "ok.example"
  - "not a host"                         # <9>
  virtualGateways: [{name: edge}]
---
apiVersion: networking.gloo.solo.io/v2
kind: RouteTable
metadata: {name: typed, namespace: shop}
spec: {http: [{directResponse: {status: "x"}}]}
"""


@pytest.mark.spec("C-30")
def test_lines_in_documents_with_anchors_comments_and_lists(tmp_path: Path) -> None:
    (tmp_path / "all.yaml").write_text(MARKED)
    report = validate_path([str(tmp_path)])
    found = {(f.line, f.path.rpartition(".")[2]) for f in report.findings if f.file.endswith("/all.yaml")}
    lines = {int(text.split("<")[1][0]): i for i, text in enumerate(MARKED.splitlines(), 1) if "# <" in text}
    assert found >= {
        (lines[2], "port"),
        (lines[3], "virtualGateways[1]"),
        (lines[4], "destinations[0]"),
        (lines[5], "pathRewright"),
        (lines[6], "typo"),
        (lines[8], ""),
        (lines[9], "hosts[1]"),
    }
    (unknown,) = [f for f in report.findings if f.code == "UnknownKind"]
    assert unknown.line == lines[7] + 1  # the field `kind` itself
    (wrong,) = [f for f in report.findings if f.object == "RouteTable shop/typed" and f.level is Level.ERROR]
    assert "status" in wrong.path
    assert wrong.line == len(MARKED.splitlines())


def test_a_misspelled_group_is_a_warning_and_a_foreign_kind_is_none() -> None:
    foreign = "apiVersion: cert-manager.io/v1\nkind: Certificate\nmetadata: {name: c, namespace: shop}\n---\n"
    report = checked(foreign + SERVICE + GOOD.replace("networking.gloo.solo.io", "networging.gloo.solo"))
    (finding,) = [f for f in report.findings if f.level is not Level.NOTE]
    assert (finding.level, finding.object, finding.path) == (Level.WARNING, "RouteTable shop/www", "apiVersion")
    assert 'did you mean "networking.gloo.solo.io/v2"?' in finding.message
    assert finding.line == foreign.count("\n") + SERVICE.count("\n") + 2


def test_a_misspelled_kind_or_version_of_a_known_group_is_an_error() -> None:
    (kind,) = errors(checked(GATEWAY + GOOD.replace("RouteTable", "RouteTabel")))
    assert "did you mean RouteTable?" in kind
    (version,) = errors(checked(GATEWAY + GOOD.replace("io/v2", "io/v1")))
    assert 'served as "networking.gloo.solo.io/v2"' in version


def test_text_that_is_no_yaml_names_its_line() -> None:
    report = checked(GOOD + "a: [1\nb: }\n")
    (finding,) = [f for f in report.findings if f.code == "NotYaml"]
    assert (finding.place, finding.level) == (f"<stdin>:{GOOD.count(chr(10)) + 2}", Level.ERROR)
    assert report.failed


@pytest.mark.spec("C-29")
def test_neither_network_nor_configuration(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def refuse(*_: object, **__: object) -> NoReturn:
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setenv("HOME", str(tmp_path / "none"))
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    report = checked(GATEWAY + GOOD)
    assert (report.checked, report.failed) == (2, False)


def test_mistakes_between_objects() -> None:
    report = checked(GATEWAY + GOOD + forward("mgmt"))
    (missing,) = errors(report)
    assert missing.endswith("destination Service shop/cart in cluster mgmt not found")
    assert errors(checked(GATEWAY + GOOD + forward("mgmt") + SERVICE)) == []
    (unbound,) = errors(checked(GOOD))
    assert unbound == "RouteTable shop/www: VirtualGateway shop/edge in cluster mgmt not found"


def test_two_tables_for_one_host_are_warned_of_where_gateways_are_known() -> None:
    twin = GOOD.replace("name: www", "name: twin")
    with_port = INGRESS.replace("port: 81", "port: 80")
    report = checked(GATEWAY + GOOD + twin + with_port)
    shared = [f for f in report.findings if f.code == "HostShared"]
    assert [f.object for f in shared] == ["RouteTable shop/www", "RouteTable shop/twin"]
    assert not report.failed


def test_gateways_of_the_set_are_looked_at() -> None:
    alone = checked(GATEWAY + GOOD)
    assert codes(alone) == {"NoGatewaySelected": Level.NOTE, "WorkspaceAssumed": Level.NOTE}
    (missed,) = errors(checked(GATEWAY + GOOD + INGRESS))
    assert missed.endswith("listener 0: port 80 is not a port of gateway service shop/ingress")


@pytest.mark.parametrize("namespace", ["shop", "gw"])
def test_a_gateway_that_is_not_in_the_set_is_not_found(namespace: str) -> None:
    """The assumed workspace has no name that a person could know."""
    lone = GOOD.replace("name: edge", f"name: edge, namespace: {namespace}")
    (missed,) = errors(checked(lone))
    assert missed.endswith(f"VirtualGateway {namespace}/edge in cluster mgmt not found")
    (odd,) = errors(checked(GOOD.replace("name: edge", "name: edge, namespace: 'no name'")))
    assert "VirtualGateway no name/edge is not reachable" in odd


WORKSPACE = """
apiVersion: admin.gloo.solo.io/v2
kind: Workspace
metadata: {name: other, namespace: gloo-mesh}
spec: {workloadClusters: [{name: '*', namespaces: [{name: other}]}]}
---
"""


def test_with_a_workspace_none_is_assumed() -> None:
    report = checked(WORKSPACE + GATEWAY + GOOD)
    assert "WorkspaceAssumed" not in codes(report)
    assert codes(report)["NoWorkspace"] is Level.WARNING


@pytest.mark.parametrize("mark", [True, False])
def test_a_folder_per_cluster(tmp_path: Path, mark: bool) -> None:
    home = tmp_path / ("mgmt" if not mark else "west")
    for folder, text in ((home, forward("east")), (tmp_path / "east" / "deep", SERVICE)):
        folder.mkdir(parents=True)
        (folder / "all.yaml").write_text(text)
    (tmp_path / "edge.yaml").write_text(GATEWAY)
    if mark:
        (tmp_path / ".fingerpost-clusters").touch()
    report = validate_path([str(tmp_path)])
    assert report.checked == 3
    # The Service was found in its cluster; a route from elsewhere cannot reach it (D-2), the table's own cluster can.
    assert not [e for e in errors(report) if "not found" in e]


def test_without_cluster_folders_all_is_one_cluster(tmp_path: Path) -> None:
    for name, text in (("a", GATEWAY + forward("mgmt")), ("b", SERVICE)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "all.yml").write_text(text)
    (tmp_path / ".hidden").mkdir()
    (tmp_path / ".hidden" / "x.yaml").write_text("{")
    (tmp_path / "notes.txt").write_text("{")
    report = validate_path([str(tmp_path)])
    assert (report.checked, errors(report)) == (3, [])


def test_one_object_in_two_files(tmp_path: Path) -> None:
    for name in ("a.yaml", "b.yaml"):
        (tmp_path / name).write_text(GATEWAY)
    report = validate_path([str(tmp_path)])
    (finding,) = [f for f in report.findings if f.code == "DuplicateObject"]
    assert finding.place == f"{tmp_path}/b.yaml:2"
    assert f"{tmp_path}/a.yaml, line 2" in finding.message


def test_a_path_that_is_not_there() -> None:
    report = validate_path(["/nowhere/at/all.yaml"])
    assert errors(report) == [
        ": the file cannot be read (No such file or directory); check the path and its permissions"
    ]


def test_a_mistake_in_a_kubernetes_object_and_a_kind_not_implemented() -> None:
    report = checked(
        "apiVersion: v1\nkind: Service\nmetadata: {name: a, namespace: b}\nspec: {ports: many}\n---\n"
        "apiVersion: security.policy.gloo.solo.io/v2\nkind: JWTPolicy\nmetadata: {name: j, namespace: b}\n---\n"
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: d, namespace: b}\n"
    )
    assert report.checked == 3
    (service,) = [f for f in report.findings if f.level is Level.ERROR]
    (policy,) = [f for f in report.findings if f.code == "NotImplemented"]
    assert (service.object, service.path, service.line) == ("Service b/a", "spec.ports", 4)
    said = "the object has no effect: JWTPolicy is not implemented in this version"
    assert (policy.level, policy.message) == (Level.WARNING, said)


def test_printed_report() -> None:
    findings = (
        Finding(
            file="shop/rt.yaml",
            line=14,
            object="RouteTable shop/main",
            level=Level.ERROR,
            code="X",
            path="spec.http[2]",
            message="one of number, name is required",
        ),
        Finding(file="shop/retry.yaml", line=9, object="Service shop/a", level=Level.WARNING, code="X", message="odd"),
        Finding(level=Level.NOTE, code="X", message="assumed"),
    )
    assert render(Report(checked=37, findings=findings)).splitlines() == [
        "shop/rt.yaml:14    RouteTable shop/main  ERROR  spec.http[2]: one of number, name is required",
        "shop/retry.yaml:9  Service shop/a        WARN   odd",
        "NOTE: assumed",
        "37 resources checked: 1 error, 1 warning, 1 note",
    ]
    assert render(Report(checked=1, findings=())) == "1 resource checked: 0 errors, 0 warnings"
