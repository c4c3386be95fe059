"""What users get wrong in files: each mistake names file, place, value and remedy, and harms nothing else."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fingerpost.cluster.directory.documents import NotYaml, documents
from fingerpost.cluster.directory.manifest import read_manifest
from fingerpost.cluster.protocol import ClusterFailed
from fingerpost.objects import ObjectKey
from tests.unit.cluster.folder_world import Place, Watcher, hosts, table

GOOD = table("good")
MISTAKES = {
    "text": ("just words", "NotAnObject", ["document 1", '"just words"', "apiVersion"]),
    "no api version": ("kind: A\nmetadata: {name: a}", "FieldMissing", ["apiVersion is missing"]),
    "no name": ("apiVersion: v1\nkind: Pod\nmetadata: {}", "FieldMissing", ["metadata.name", "Pod"]),
    "name a number": (
        "apiVersion: v1\nkind: Pod\nmetadata: {name: 12}",
        "WrongType",
        ["metadata.name", "12", "quotes"],
    ),
    "name a path": ("apiVersion: v1\nkind: Pod\nmetadata: {name: ../../x}", "WrongValue", ["../../x", "lower-case"]),
    "namespace": ("apiVersion: v1\nkind: Pod\nmetadata: {name: a, namespace: A/b}", "WrongValue", ["A/b"]),
    "label": ("apiVersion: v1\nkind: Pod\nmetadata: {name: a, labels: {on: true}}", "WrongType", ["labels", "true"]),
    "label value": ("apiVersion: v1\nkind: Pod\nmetadata: {name: a, labels: {k: b c}}", "WrongValue", ["b c", "k"]),
    "label key": ("apiVersion: v1\nkind: Pod\nmetadata: {name: a, labels: {o n: b}}", "WrongValue", ['"o n"', "key"]),
    "annotation": ("apiVersion: v1\nkind: Pod\nmetadata: {name: a, annotations: {a/: b}}", "WrongValue", ['"a/"']),
    "metadata": ("apiVersion: v1\nkind: Pod\nmetadata: [a]", "WrongType", ["metadata must be a mapping", '["a"]']),
    "secret": ("apiVersion: v1\nkind: Secret\nmetadata: {name: a}\ndata: {k: '%%'}", "WrongValue", ["k", "stringData"]),
    "twice": (GOOD, "DuplicateObject", ["RouteTable shop/good", "remove one"]),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_a_wrong_document_is_named_and_the_others_stay(case: str) -> None:
    text, code, words = MISTAKES[case]
    found = read_manifest("team/a.yaml", f"{text}\n---\n{GOOD}".encode(), "c1")
    assert [one.key.name for one in found.objects] == ["good"]
    (finding,) = found.findings
    assert finding.code == code
    assert "file team/a.yaml" in finding.message
    for word in words:
        assert word in finding.message


SLIPS = {
    "group": ("networking.gloo.solo.io", "networging.gloo.solo", "UnknownKind"),
    "kind": ("RouteTable", "RouteTabel", "UnknownKind"),
    "version": ("solo.io/v2", "solo.io/v1", "WrongVersion"),
}


@pytest.mark.parametrize("slip", SLIPS)
async def test_a_misspelled_kind_is_a_finding_and_takes_nothing_away(
    place: Place, slip: str, capsys: pytest.CaptureFixture[str]
) -> None:
    old, new, code = SLIPS[slip]
    both = table("a") + "---\n" + table("b")
    place.write("a.yaml", both)
    async with place.cluster() as cluster:
        watcher = Watcher(cluster.watch())
        await watcher.next()
        place.write("a.yaml", table("a", "edited.example.com").replace(old, new) + "---\n" + table("c"))
        await watcher.until(lambda: watcher.named("c") is not None)
        (finding,) = watcher.findings
        assert finding.code == code
        for word in ("file a.yaml, document 1 (line 1)", "shop/a", new, "RouteTable", "correct "):
            assert word in finding.message
        assert finding.message in capsys.readouterr().out.replace('\\"', '"')
        kept = watcher.objects[ObjectKey("networking.gloo.solo.io/RouteTable", "c1", "shop", "a")]
        assert (hosts(kept), kept["apiVersion"]) == (["a.example.com"], "networking.gloo.solo.io/v2")
        assert watcher.named("b") is None, "what was removed beside it is gone"
        place.write("a.yaml", table("a", "edited.example.com"))
        await watcher.until(lambda: not watcher.findings)
        assert [hosts(o) for o in watcher.objects.values() if o["kind"] != "Namespace"] == [["edited.example.com"]]


async def test_a_finding_names_the_objects_that_stay_in_force_because_of_it(place: Place) -> None:
    place.write("a.yaml", table("a") + "---\n" + table("b"))
    async with place.cluster() as cluster:
        watcher = Watcher(cluster.watch())
        await watcher.next()
        wrong = {
            "broken: [": {"NotYaml": {"a", "b"}},
            f"{table('a')}---\nkind: RouteTable\n": {"FieldMissing": {"b"}},
            table("a").replace("RouteTable", "RouteTabel") + "---\n" + table("b"): {"UnknownKind": {"a"}},
            f"{table('a')}---\n{table('b')}---\n{table('b', 'edited.example.com')}": {"DuplicateObject": {"b"}},
        }
        for text, told in wrong.items():
            place.write("a.yaml", text)
            await watcher.until(lambda told=told: _kept(watcher) == told)  # type: ignore[misc]  # mypy: a default
        place.write("b.yaml", table("b"))
        place.write("a.yaml", "broken: [")
        await watcher.until(lambda: _kept(watcher) == {"NotYaml": {"a", "b"}, "DuplicateObject": {"b"}})
        place.write("a.yaml", table("a"))
        await watcher.until(lambda: not watcher.findings)
        place.write("a.yaml", "broken: [")
        await watcher.until(lambda: _kept(watcher) == {"NotYaml": {"a"}})


def _kept(watcher: Watcher) -> dict[str, set[str]]:
    return {found.code: {key.name for key in found.keeps} for found in watcher.findings}


def test_objects_of_others_are_no_findings() -> None:
    text = "apiVersion: cert-manager.io/v1\nkind: Certificate\nmetadata: {name: a, namespace: shop}\n---\n"
    text += "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: a, namespace: shop}\n"
    assert read_manifest("a.yaml", text.encode(), "c1").findings == ()


def test_a_finding_about_a_secret_never_shows_its_value() -> None:
    text = "apiVersion: v1\nkind: Secret\nmetadata: {name: a}\ndata: {k: [hush]}\n---\n"
    text += "apiVersion: v1\nkind: Secret\nmetadata: {name: b}\nstringData: {k: 4711}"
    found = read_manifest("a.yaml", text.encode(), "c1")
    assert len(found.findings) == 2
    assert not any(word in finding.message for finding in found.findings for word in ("hush", "4711"))


@pytest.mark.parametrize(
    ("text", "line", "word"),
    [
        (b"a:\n  - [1,\n\nb", 5, "flow sequence (begun in line 2)"),
        (b"a: 1\nb: 2\na: 3", 3, '"a" is given twice'),
        (b"a: &x [*x]", 1, "nested"),
        (b"- " * 200_000 + b"a", 1, "nested"),
        (b"[" * 100_000, 1, "nested"),
        (b"a: .inf", 1, ".inf"),
        (b"a: !ruby/object x", 1, "tag"),
        (b"\xff\xfe\x00", 1, "UTF-8"),
        (
            b"\n".join(b"k%d: &k%d [%s]" % (i, i, b",".join([b"*k%d" % (i - 1)] * 9) if i else b"x") for i in range(9)),
            1,
            "aliases",
        ),
    ],
)
def test_text_that_cannot_be_read_is_refused_with_its_line(text: bytes, line: int, word: str) -> None:
    with pytest.raises(NotYaml) as caught:
        documents(text)
    assert caught.value.line == line
    assert word in caught.value.reason


def test_scalars_mean_what_they_mean_to_kubectl() -> None:
    (found,) = documents(
        b"date: 2020-01-01\noctal: 0777\nfloat: 1e3\nwhole: 1.0\ntime: 12:30\nyes: on\n1: one\nnothing: ~\n"
        b"base: &b {k: v, z: 0}\nmerged: {<<: *b, z: 1}\ntext: '12'\nforced: !!str 12"
    )
    assert found.value == {
        "date": "2020-01-01",
        "octal": 511,
        "float": 1000,
        "whole": 1,
        "time": "12:30",
        "true": True,
        "1": "one",
        "base": {"k": "v", "z": 0},
        "merged": {"k": "v", "z": 1},
        "text": "12",
        "forced": "12",
    }


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200) | st.text(alphabet="abk: -[]{}#&*!|>'\"\n%@`?,~0.", max_size=200).map(str.encode))
def test_no_text_does_more_than_raise_the_one_error(text: bytes) -> None:
    with contextlib.suppress(NotYaml):
        msgspec.json.encode([one.value for one in documents(text)])


SECRET = "apiVersion: v1\nkind: Secret\nmetadata: {name: s, namespace: shop}\nstringData: {password: canary-0815}\n"


@pytest.mark.spec("M-6")
async def test_no_data_of_a_secret_is_kept_unless_asked_for(place: Place) -> None:
    place.write("s.yaml", SECRET + "---\n" + table("a"))
    async with place.cluster() as cluster:
        watcher = Watcher(cluster.watch())
        await watcher.next()
        assert watcher.named("s")["data"] == {"password": "Y2FuYXJ5LTA4MTU="}
    stored = b"".join(path.read_bytes() for path in place.state.rglob("*") if path.is_file())
    assert b"RouteTable" in stored
    assert b"canary-0815" not in stored
    assert b"Y2FuYXJ5LTA4MTU" not in stored


async def test_secrets_that_are_kept_survive_a_broken_file(place: Place) -> None:
    place.write("s.yaml", SECRET)
    async with place.cluster(keep_secrets=True):
        pass
    place.write("s.yaml", SECRET + "broken: [")
    async with place.cluster(keep_secrets=True) as cluster:
        watcher = Watcher(cluster.watch())
        await watcher.next()
        assert watcher.named("s")["data"] == {"password": "Y2FuYXJ5LTA4MTU="}
    assert (place.state / "folder.sqlite").stat().st_mode & 0o077 == 0


async def test_a_state_that_is_no_database_is_put_aside(place: Place) -> None:
    place.write("a.yaml", table("a"))
    place.state.mkdir()
    (place.state / "folder.sqlite").write_bytes(b"no database" * 1000)
    async with place.cluster() as cluster:
        watcher = Watcher(cluster.watch())
        await watcher.next()
        assert watcher.named("a")
        assert watcher.codes == ["StateLost"]
    assert (place.state / "folder.sqlite.broken").exists()
    with contextlib.closing(sqlite3.connect(place.state / "folder.sqlite")) as db:
        assert db.execute("select path from file").fetchall() == [("a.yaml",)]


@pytest.mark.parametrize("length", [245, 246, 253])
async def test_an_object_with_a_long_name_has_a_status_and_can_go(place: Place, length: int) -> None:
    names = ["x" * length, "x" * (length - 1) + "y"]
    place.write("a.yaml", "---\n".join(map(table, names)))
    keys = [ObjectKey("networking.gloo.solo.io/RouteTable", "c1", "shop", name) for name in names]
    async with place.cluster() as cluster:
        watcher = Watcher(cluster.watch())
        await watcher.next()
        for number, key in enumerate(keys):
            assert await cluster.write_status(key, {"number": number})
        assert [cluster.status(key) for key in keys] == [{"number": 0}, {"number": 1}]
        place.write("a.yaml", table("b"))
        await watcher.until(lambda: watcher.named("b") and watcher.objects.keys().isdisjoint(keys))
        assert [cluster.status(key) for key in keys] == [None, None]


async def test_a_status_that_cannot_be_deleted_stops_nothing(place: Place) -> None:
    place.write("a.yaml", table("a"))
    key = ObjectKey("networking.gloo.solo.io/RouteTable", "c1", "shop", "a")
    async with place.cluster() as cluster:
        watcher = Watcher(cluster.watch())
        await watcher.next()
        (place.state / "status" / "networking.gloo.solo.io_RouteTable" / "shop" / "a.json").mkdir(parents=True)
        with pytest.raises(ClusterFailed, match="make room or repair the folder"):
            await cluster.write_status(key, {})
        place.write("a.yaml", table("b"))
        await watcher.until(lambda: watcher.named("b") and not watcher.named("a"))


async def test_an_object_whose_name_no_file_can_have_can_go(place: Place) -> None:
    role = "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: .hidden}\nrules: []\n"
    place.write("a.yaml", role)
    async with place.cluster() as cluster:
        watcher = Watcher(cluster.watch())
        await watcher.next()
        assert watcher.named(".hidden")
        place.write("a.yaml", table("b"))
        await watcher.until(lambda: watcher.named("b") and not watcher.named(".hidden"))


async def test_a_status_never_leaves_its_folder(place: Place, tmp_path: Path) -> None:
    async with place.cluster() as cluster:
        for name in ("../../../out", "..", "a/b"):
            with pytest.raises(ClusterFailed):
                await cluster.write_status(ObjectKey("networking.gloo.solo.io/RouteTable", "c1", "shop", name), {})
    assert sorted(os.listdir(tmp_path)) == ["root", "state"]
    assert "status" not in os.listdir(place.state)
