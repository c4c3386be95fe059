"""`translate -f FOLDER -o FOLDER`: the files that it writes, and what it says of the manifests."""

from __future__ import annotations

import base64
import errno
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from ctl.__main__ import run

ROOT = Path(__file__).parents[3]
Run = Callable[..., Any]
CANARY = "canary-of-a-secret"
ISTIO = """
apiVersion: v1
kind: Service
metadata: {name: istio-ingress, namespace: gw, labels: {app: gateway}}
spec: {selector: {app: gateway, istio: ingress}, ports: [{name: http, port: 80, targetPort: 8080}]}
---
apiVersion: v1
kind: Pod
metadata: {name: istio-0, namespace: gw, labels: {app: gateway, istio: ingress}}
spec: {containers: [{name: istio-proxy, args: [proxy, router]}]}
---
apiVersion: v1
kind: Secret
metadata: {name: www-cert, namespace: gw}
data: {tls.key: %s}
"""


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    shutil.copytree(ROOT / "examples", tmp_path / "in")
    (tmp_path / "in" / "west" / "istio.yaml").write_text(ISTIO % base64.b64encode(CANARY.encode()).decode())
    return tmp_path / "in"


def contents(folder: Path) -> dict[str, str]:
    return {str(p.relative_to(folder)): p.read_text() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.mark.spec("C-44", "C-3")
def test_every_resource_can_be_read_beside_its_digest(fingerpost: Run, folders: Path, tmp_path: Path) -> None:
    done = fingerpost("-o", "json", "translate", "-f", str(folders), "-o", str(tmp_path / "out"))
    assert (done.code, "port 443 is not a port of gateway service gw/istio-ingress" in done.err) == (0, True)
    items = json.loads(done.out)["items"]
    written = contents(tmp_path / "out")
    told = [f"{i['hash']}  {i['cluster']}/{i['gateway']}/{i['type']}/{i['name']}" for i in items]
    assert written["digests.txt"].splitlines() == told
    assert {i["file"] for i in items} == written.keys() - {"digests.txt", "files.txt"}
    routes = yaml.safe_load(written["east/gw.ingress/routes.yaml"])
    assert [r["name"] for r in routes] == [i["name"] for i in items if i["file"] == "east/gw.ingress/routes.yaml"]
    assert "www.shop.example" in str(routes)
    services = [yaml.safe_load(text) for file, text in written.items() if "/istio/VirtualService." in file]
    assert {s["kind"] for s in services} == {"VirtualService"}
    assert {h for s in services for h in s["spec"]["hosts"]} >= {"www.shop.example"}


@pytest.mark.spec("M-6")
def test_data_of_secrets_is_nowhere(fingerpost: Run, folders: Path, tmp_path: Path) -> None:
    done = fingerpost("-v", "translate", "-f", str(folders), "-o", str(tmp_path / "out"))
    assert done.code == 0
    encoded = base64.b64encode(CANARY.encode()).decode()
    shown = done.out + done.err + "".join(contents(tmp_path / "out").values())
    assert "www-cert" in shown
    assert CANARY not in shown
    assert encoded not in shown


def test_again_gives_the_same_files_and_takes_away_what_is_gone(fingerpost: Run, folders: Path, tmp_path: Path) -> None:
    order = ("translate", "-f", str(folders), "-o", str(tmp_path / "out"))
    fingerpost(*order)
    before = contents(tmp_path / "out")
    fingerpost(*order)
    assert contents(tmp_path / "out") == before
    (folders / "west" / "istio.yaml").unlink()
    fingerpost(*order)
    after = contents(tmp_path / "out").keys()
    assert {k for k in before.keys() - after if "/istio/" not in k} == set()
    assert not [k for k in after if "/istio/" in k]
    assert not list((tmp_path / "out").rglob("istio"))


def test_what_is_written_is_no_part_of_what_is_read(folders: Path, tmp_path: Path, capsys: Any) -> None:
    (tmp_path / "link").symlink_to(folders)
    there = contents(folders)
    for target in (folders, folders / "out", tmp_path / "link" / "a" / "out"):
        assert run(["translate", "-f", str(folders), "-o", str(target)]) == 2
        said = capsys.readouterr().err
        assert (f"error: -o is {target}, which is " in said, "name a folder outside of it" in said) == (True, True), (
            said
        )
    assert contents(folders) == there
    assert run(["translate", "-f", str(folders), "-o", f"{folders}-out"]) == 0


def test_a_folder_with_other_files_is_left_alone(fingerpost: Run, folders: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "files.txt").write_text("files.txt\nmine.txt\n")
    (other / "mine.txt").write_text("mine")
    done = fingerpost("translate", "-f", str(folders), "-o", str(other))
    assert (done.code, done.out) == (7, "")
    assert "name a new or empty folder" in done.err
    assert contents(other).keys() == {"files.txt", "mine.txt"}


@pytest.mark.parametrize("place", ["notes.txt", "east/notes.txt", "east/gw.ingress/notes.txt", "mine/deep/notes.txt"])
def test_a_file_of_somebody_else_at_any_depth_is_left_alone(
    fingerpost: Run, folders: Path, tmp_path: Path, place: str
) -> None:
    order = ("translate", "-f", str(folders), "-o", str(tmp_path / "out"))
    assert fingerpost(*order).code == 0
    mine = tmp_path / "out" / place
    mine.parent.mkdir(parents=True, exist_ok=True)
    mine.write_text("mine")
    before = contents(tmp_path / "out")
    (folders / "west" / "istio.yaml").unlink()
    done = fingerpost(*order)
    assert (done.code, f"holds files that translate did not write: {place}" in done.err) == (7, True), done
    assert contents(tmp_path / "out") == before
    mine.unlink()
    assert fingerpost(*order).code == 0


def test_what_a_link_leads_to_is_left_alone(fingerpost: Run, folders: Path, tmp_path: Path) -> None:
    order = ("translate", "-f", str(folders), "-o", str(tmp_path / "out"))
    assert fingerpost(*order).code == 0
    shutil.move(tmp_path / "out" / "east", tmp_path / "east")
    (tmp_path / "out" / "east").symlink_to(tmp_path / "east")
    before = contents(tmp_path / "east")
    done = fingerpost(*order)
    assert (done.code, "translate did not write: east" in done.err) == (7, True), done
    assert contents(tmp_path / "east") == before


def test_mistakes_are_named_with_file_and_line(fingerpost: Run, folders: Path, tmp_path: Path) -> None:
    (folders / "mgmt" / "broken.yaml").write_text("kind: [\n")
    (folders / "north").mkdir()
    (folders / "north" / "a.yaml").write_text("{apiVersion: v1, kind: Namespace, metadata: {name: a}}")
    done = fingerpost("translate", "-f", str(folders), "-o", str(tmp_path / "out"))
    assert done.code == 1
    assert "broken.yaml:2" in done.err
    assert "no KubernetesCluster gloo-mesh/north" in done.err
    assert (tmp_path / "out" / "digests.txt").exists()


@pytest.mark.spec("C-3")
@pytest.mark.parametrize(
    ("only", "code"), [("{apiVersion: v1, kind: Namespace, metadata: {name: a}}\n", 0), ("kind: [\n", 1)]
)
def test_an_empty_result_is_written_as_one(
    fingerpost: Run, folders: Path, tmp_path: Path, only: str, code: int
) -> None:
    out, bare = tmp_path / "out", tmp_path / "bare"
    assert fingerpost("translate", "-f", str(folders), "-o", str(out)).code == 0
    (bare / "mgmt").mkdir(parents=True)
    (bare / "mgmt" / "only.yaml").write_text(only)
    done = fingerpost("-o", "json", "translate", "-f", str(bare), "-o", str(out))
    assert (done.code, json.loads(done.out)["items"], "Traceback" in done.err) == (code, [], False), done
    assert contents(out) == {"digests.txt": "", "files.txt": "digests.txt\nfiles.txt\n"}
    assert fingerpost("translate", "-f", str(folders), "-o", str(out)).code == 0


def test_a_folder_of_one_cluster_is_not_a_fleet(fingerpost: Run, folders: Path, tmp_path: Path) -> None:
    done = fingerpost("translate", "-f", str(folders / "mgmt"), "-o", str(tmp_path / "out"))
    assert (done.code, done.out) == (2, "")
    assert "--management-cluster" in done.err


def test_on_a_full_disk_nothing_is_left_half_written(
    folders: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The disk is a mock: no real one can be filled here."""
    wanted, write = tmp_path / "out", Path.write_text

    def full(path: Path, text: str) -> int:
        if path.name == "routes.yaml":
            write(path, text[:10])
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        return write(path, text)

    monkeypatch.setattr(Path, "write_text", full)
    assert run(["translate", "-f", str(folders), "-o", str(wanted)]) == 2
    said = capsys.readouterr().err
    assert "No space left on device" in said
    assert "hint: free space there, or name another folder" in said
    assert not wanted.exists()
