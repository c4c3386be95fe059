"""`diff` as a process: what counts as a change, and how it is told."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from admin_world import SHOP, World

Run = Callable[..., Any]
Start = Callable[..., Any]
ROOT = Path(__file__).parents[3]
TABLE = next(o for o in yaml.safe_load(SHOP) if o["kind"] == "RouteTable")


@pytest.fixture
def fleet(tmp_path: Path) -> Path:
    shutil.copytree(ROOT / "examples", tmp_path / "fleet")
    return tmp_path / "fleet"


def written(path: Path, *objects: Any) -> str:
    path.write_text(yaml.safe_dump_all(objects))
    return str(path)


def spec(done: Any) -> Any:
    return json.loads(done.out)["spec"]


@pytest.mark.spec("C-43", "C-5")
def test_the_live_table_is_no_difference_and_an_edited_route_is_one(
    servers: Start, fingerpost: Run, tmp_path: Path
) -> None:
    servers(World())
    bare = {k: v for k, v in TABLE["metadata"].items() if k in ("name", "namespace")}
    file = written(tmp_path / "www.yaml", TABLE | {"metadata": bare})
    same = fingerpost("diff", "-f", file)
    assert (same.code, same.out) == (0, "no difference\n"), same.err
    edited = json.loads(json.dumps(TABLE))
    edited["spec"]["http"][0]["matchers"][0]["uri"]["prefix"] = "/basket"
    done = fingerpost("diff", "-f", "-", "-o", "json", stdin=yaml.safe_dump(edited))
    assert done.code == 1
    found = spec(done)
    assert [(o["change"], o["kind"], o["state"]) for o in found["objects"]] == [("change", "RouteTable", "ACCEPTED")]
    assert {r["route"] for r in found["routes"]} == {"cart-www.shop.mgmt"}
    assert {(r["type"], *r["origins"]) for r in found["resources"]} == {("routes", "RouteTable mgmt/shop/www")}
    assert [(r["change"], r["request"]) for r in found["requests"]] == [
        ("add", "ANY www.shop.example/basket*"),
        ("remove", "ANY www.shop.example/cart*"),
    ]


def test_annotations_of_others_are_no_change_and_labels_are(servers: Start, fingerpost: Run, tmp_path: Path) -> None:
    world = World()
    [served] = servers(world)
    live = json.loads(json.dumps(TABLE))
    live["metadata"] |= {"annotations": {"who": "else"}, "uid": "u-1", "generation": 7}
    served.do(lambda w: w.put({next(k for k in w.changed if k.name == "www"): live}))
    assert fingerpost("diff", "-f", written(tmp_path / "a.yaml", TABLE)).code == 0
    labelled = {**TABLE, "metadata": {**TABLE["metadata"], "labels": {"team": "shop"}}}
    assert fingerpost("diff", "-f", written(tmp_path / "b.yaml", labelled)).code == 1


def test_what_is_deleted_or_pruned_goes(fingerpost: Run, fleet: Path, tmp_path: Path) -> None:
    base = ("--fleet", str(fleet), "-o", "json")
    gone = spec(fingerpost("diff", "--delete", "rt/shop/www", *base))
    assert [(o["change"], o["name"]) for o in gone["objects"] if o["kind"] == "RouteTable"] == [("remove", "www")]
    lost = {r["request"]: r["now"] for r in gone["requests"] if r["change"] == "remove"}
    assert lost["ANY www.shop.example/cart*"] == "404, the host is not served"
    (fleet / "mgmt" / "route-www.yaml").rename(tmp_path / "www.yaml")
    (fleet / "mgmt" / "outlier-detection.yaml").rename(tmp_path / "near.yaml")
    shutil.copytree(ROOT / "examples", tmp_path / "full")
    everything = ("--fleet", str(tmp_path / "full"), "-o", "json")
    kept = spec(fingerpost("diff", "-f", str(fleet), *everything))
    assert kept["empty"]
    pruned = spec(fingerpost("diff", "-f", str(fleet), "--prune", "namespace", *everything))
    assert {o["name"] for o in pruned["objects"] if o["change"] == "remove"} == {"www", "near-first"}
    one = spec(fingerpost("diff", "-f", str(fleet / "mgmt" / "route-api.yaml"), "--prune", "cluster", *everything))
    assert "KubernetesCluster" in {o["kind"] for o in one["objects"] if o["change"] == "remove"}


def test_files_of_a_workload_cluster_belong_there(fingerpost: Run, fleet: Path) -> None:
    table = str(fleet / "east" / "route-backoffice.yaml")
    assert spec(fingerpost("diff", "-f", table, "--cluster", "east", "--fleet", str(fleet), "-o", "json"))["empty"]
    there = spec(fingerpost("diff", "-f", table, "--fleet", str(fleet), "-o", "json"))
    assert {(o["change"], o["cluster"]) for o in there["objects"] if o["name"] == "backoffice"} >= {("add", "mgmt")}


def test_a_kept_snapshot_answers_as_the_server_did(servers: Start, fingerpost: Run, tmp_path: Path) -> None:
    servers(World())
    for form in ("json", "yaml"):
        (tmp_path / form).write_text(fingerpost("snapshot", "input", "-o", form).out)
        done = fingerpost(
            "diff", "--delete", "rt/shop/www", "--snapshot", str(tmp_path / form), FINGERPOST_CONFIG="/no"
        )
        assert done.code == 1, done.err
        assert "- RouteTable shop/www in mgmt" in done.out


@pytest.mark.parametrize(
    ("of", "said"),
    [
        (("output",), "which is a dump of outputs, not of inputs"),
        (("input", "--cluster", "east"), "holds only a part of the fleet: cluster east"),
        (("input", "--cluster", "mgmt", "-n", "shop"), "only a part of the fleet: cluster mgmt, namespace shop"),
    ],
)
@pytest.mark.parametrize("form", ["json", "yaml"])
def test_a_kept_snapshot_of_something_else_is_refused(
    servers: Start, fingerpost: Run, tmp_path: Path, of: tuple[str, ...], said: str, form: str
) -> None:
    servers(World())
    kept = tmp_path / "kept"
    kept.write_text(fingerpost("snapshot", *of, "-o", form).out)
    done = fingerpost("diff", "-f", written(tmp_path / "www.yaml", TABLE), "--snapshot", str(kept))
    assert (done.code, done.out, said in done.err) == (2, "", True), done
    assert "hint: fingerpost snapshot input -o json > FILE makes one" in done.err


def test_a_kept_part_that_does_not_say_so_is_known_by_its_clusters(
    servers: Start, fingerpost: Run, tmp_path: Path
) -> None:
    servers(World())
    dump = json.loads(fingerpost("snapshot", "input", "--cluster", "east", "-o", "json").out)
    del dump["spec"]["part"]  # as older versions wrote it
    (tmp_path / "kept").write_text(json.dumps(dump))
    done = fingerpost("diff", "--delete", "rt/shop/www", "--snapshot", str(tmp_path / "kept"))
    assert (done.code, "holds only a part of the fleet: cluster east" in done.err) == (2, True), done


@pytest.mark.parametrize(
    ("order", "code", "said"),
    [
        ((), 2, "nothing to compare"),
        (("-f", "no-such-file"), 2, "does not exist"),
        (("-f", "BROKEN"), 2, "BROKEN:2"),
        (("--delete", "rt/shop/none"), 2, "there is no RouteTable shop/none in cluster mgmt"),
        (("-f", "GOOD", "--prune", "all"), 2, "write --prune namespace or --prune cluster"),
        (("-f", "GOOD", "--snapshot", "GOOD"), 2, "holds no dump of inputs"),
    ],
)
def test_what_cannot_be_compared_is_not_taken_for_a_difference(
    servers: Start, fingerpost: Run, tmp_path: Path, order: tuple[str, ...], code: int, said: str
) -> None:
    servers(World())
    files = {"BROKEN": str(tmp_path / "broken.yaml"), "GOOD": written(tmp_path / "good.yaml", TABLE)}
    (tmp_path / "broken.yaml").write_text("a: [")
    done = fingerpost("diff", *(files.get(word, word) for word in order))
    assert done.code == code, done
    for name, file in files.items():
        said = said.replace(name, file)
    assert said in done.err


def test_a_silent_replica_is_named_and_the_others_answer(servers: Start, fingerpost: Run, closed_port: str) -> None:
    servers(World(), silent=(closed_port,))
    done = fingerpost("diff", "--delete", "rt/shop/www")
    assert (done.code, f"warning: {closed_port} does not answer" in done.err) == (1, True), done.err


@pytest.mark.parametrize(
    "order", [("diff", "--fleet"), ("whatif", "--without", "east", "--fleet"), ("conflicts", "--fleet")]
)
def test_a_given_timeout_ends_what_is_worked_out_here(
    fingerpost: Run, fleet: Path, tmp_path: Path, order: tuple[str, ...]
) -> None:
    file = written(tmp_path / "www.yaml", TABLE)
    files = ("-f", file) if order[0] != "whatif" else ()
    done = fingerpost(*order, str(fleet), *files, "--timeout", "1ms")
    assert (done.code, done.out) == (4, "")
    assert done.err.splitlines()[0] == "error: not worked out within 0.001s"
