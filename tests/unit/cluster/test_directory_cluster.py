"""A folder as a cluster, on real inotify: what is in force after edits, moves, mistakes and restarts."""

from __future__ import annotations

import asyncio
import os
import threading
from pathlib import Path

import pytest

from fingerpost.objects import ObjectKey
from tests.unit.cluster.folder_world import Place, Watcher, hosts, table

TABLE = "networking.gloo.solo.io/RouteTable"


async def test_lists_everything_then_only_what_changed(place: Place) -> None:
    place.write("a.yaml", table("a") + "---\n" + table("b"))
    place.write("deep/er/c.yml", table("c"))
    place.write("notes.txt", table("d"))
    place.write("#e.yaml", table("e"))
    (place.root / ".hidden").mkdir()
    place.write(".hidden/f.yaml", table("f"))
    async with place.cluster() as cluster:
        watcher = Watcher(cluster.watch())
        first = await watcher.next()
        assert first.listed
        assert sorted(key.name for key in watcher.objects if key.type == TABLE) == ["a", "b", "c"]
        place.write("a.yaml", table("a") + "---\n" + table("b", "new.example.com"))
        batch = await watcher.next()
        assert [change.key for change in batch.changes] == [ObjectKey(TABLE, "c1", "shop", "b")]
        assert not batch.listed
        assert batch.seen_unix_nanos > 0
        assert hosts(watcher.named("b")) == ["new.example.com"]


async def test_a_written_file_counts_when_it_is_closed(place: Place) -> None:
    async with place.cluster() as cluster:
        watcher = Watcher(cluster.watch())
        await watcher.next()
        with (place.root / "a.yaml").open("w") as file:
            file.write(table("half"))
            file.flush()
            place.write("b.yaml", table("b"))
            await watcher.next()
            assert watcher.named("b")
            assert watcher.named("half") is None
            file.write("---\n" + table("whole"))
        await watcher.until(lambda: watcher.named("half") is not None)
        assert watcher.named("whole")


async def test_a_moved_file_deletes_nothing_and_keeps_identities(place: Place) -> None:
    place.write("a.yaml", table("a"))
    place.write("stays.yaml", table("stays"))
    async with place.cluster() as cluster:
        watcher = Watcher(cluster.watch())
        await watcher.next()
        uid = watcher.named("a")["metadata"]["uid"]
        os.rename(place.root / "a.yaml", place.root / "b.yaml")
        place.write("b.yaml", table("a", "moved.example.com"))
        batches = await watcher.until(lambda: hosts(watcher.named("a")) == ["moved.example.com"])
        await cluster.relist()
        batches.append(await watcher.next())
        assert all(change.body is not None for batch in batches for change in batch.changes)
        assert watcher.named("a")["metadata"]["uid"] == uid
        assert watcher.findings == ()


async def test_a_loss_is_waited_for_as_editors_put_a_file_aside_before_they_write_it_anew(place: Place) -> None:
    place.write("a.yaml", table("a"))
    place.write("b.yaml", table("b"))
    async with place.cluster() as cluster:
        watcher = Watcher(cluster.watch())
        await watcher.next()
        os.rename(place.root / "a.yaml", place.root / "a.yaml~")
        place.write("b.yaml", table("b", "new.example.com"))
        batch = await watcher.next()
        assert [(change.key.name, change.body is None) for change in batch.changes] == [("b", False)]
        await watcher.until(lambda: watcher.named("a") is None)  # nobody wrote it


async def test_folders_come_move_and_go(place: Place) -> None:
    place.write("stays.yaml", table("stays"))
    async with place.cluster() as cluster:
        watcher = Watcher(cluster.watch())
        await watcher.next()
        place.write("team/x/a.yaml", table("a"))
        await watcher.until(lambda: watcher.named("a") is not None)
        os.rename(place.root / "team", place.root / "crew")
        place.write("crew/x/a.yaml", table("a", "two.example.com"))
        await watcher.until(lambda: hosts(watcher.named("a")) == ["two.example.com"])
        place.write("crew/x/a.yaml", table("a", "three.example.com"))
        await watcher.until(lambda: hosts(watcher.named("a")) == ["three.example.com"])
        os.rename(place.root / "crew", place.root.parent / "outside")
        await watcher.until(lambda: watcher.named("a") is None)
        assert watcher.named("stays")


async def test_a_mounted_config_map_is_swapped_as_a_whole(place: Place) -> None:
    (place.root / "..one").mkdir()
    (place.root / "..one" / "a.yaml").write_text(table("a", "one.example.com"))
    (place.root / "..two").mkdir()
    (place.root / "..two" / "a.yaml").write_text(table("a", "two.example.com"))
    (place.root / "..data").symlink_to("..one")
    (place.root / "a.yaml").symlink_to("..data/a.yaml")
    async with place.cluster() as cluster:
        watcher = Watcher(cluster.watch())
        await watcher.next()
        assert hosts(watcher.named("a")) == ["one.example.com"]
        (place.root / "..data_tmp").symlink_to("..two")
        os.replace(place.root / "..data_tmp", place.root / "..data")
        await watcher.until(lambda: hosts(watcher.named("a")) == ["two.example.com"])


async def test_a_list_stands_for_its_items(place: Place) -> None:
    indented = "".join("  " + line + "\n" for line in table("a").splitlines())
    place.write("a.yaml", "apiVersion: v1\nkind: List\nitems:\n-" + indented[1:])
    async with place.cluster() as cluster:
        watcher = Watcher(cluster.watch())
        await watcher.next()
        assert hosts(watcher.named("a")) == ["a.example.com"]
        assert watcher.findings == ()


@pytest.mark.parametrize("poll_only", [False, True])
async def test_a_broken_file_keeps_its_last_good_objects_also_over_a_restart(place: Place, poll_only: bool) -> None:
    place.write("a.yaml", table("a"))
    async with place.cluster(poll_only=poll_only) as cluster:
        watcher = Watcher(cluster.watch())
        await watcher.next()
        uid = watcher.named("a")["metadata"]["uid"]
        place.write("a.yaml", table("a", "b.example.com") + "  bad: [")
        place.write("b.yaml", table("b"))
        await watcher.until(lambda: watcher.named("b") is not None and watcher.findings != ())
        assert hosts(watcher.named("a")) == ["a.example.com"]
    async with place.cluster(poll_only=poll_only) as cluster:
        watcher = Watcher(cluster.watch())
        await watcher.next()
        assert hosts(watcher.named("a")) == ["a.example.com"]
        assert watcher.named("a")["metadata"]["uid"] == uid
        (finding,) = watcher.findings
        assert (finding.source, finding.code) == ("a.yaml", "NotYaml")
        assert "line 5" in finding.message
        assert "repair" in finding.message
        place.write("a.yaml", table("a", "c.example.com"))
        await watcher.until(lambda: watcher.findings == ())
        assert hosts(watcher.named("a")) == ["c.example.com"]


async def test_a_flawed_document_leaves_the_others_and_its_own_last_object_in_force(place: Place) -> None:
    place.write("a.yaml", table("a") + "---\n" + table("b"))
    async with place.cluster() as cluster:
        watcher = Watcher(cluster.watch())
        await watcher.next()
        place.write("a.yaml", table("a", "new.example.com") + "---\n" + table("b").replace("kind: RouteTable\n", ""))
        await watcher.next()
        assert hosts(watcher.named("a")) == ["new.example.com"]
        assert hosts(watcher.named("b")) == ["a.example.com"]
        (finding,) = watcher.findings
        assert "document 2" in finding.message
        assert "kind is missing" in finding.message
        place.write("a.yaml", table("a", "new.example.com"))
        await watcher.until(lambda: watcher.named("b") is None)
        assert watcher.findings == ()


async def test_one_object_in_two_files(place: Place) -> None:
    place.write("z.yaml", table("a", "first.example.com"))
    async with place.cluster() as cluster:
        watcher = Watcher(cluster.watch())
        await watcher.next()
        place.write("a.yaml", table("a", "second.example.com"))
        await watcher.until(lambda: watcher.findings != ())
        assert hosts(watcher.named("a")) == ["first.example.com"]
        assert "a.yaml" in watcher.findings[0].message
        assert "z.yaml" in watcher.findings[0].message
    async with place.cluster() as cluster:  # who was first is remembered
        watcher = Watcher(cluster.watch())
        await watcher.next()
        assert hosts(watcher.named("a")) == ["first.example.com"]
        uid = watcher.named("a")["metadata"]["uid"]
        (place.root / "z.yaml").unlink()
        batches = await watcher.until(lambda: hosts(watcher.named("a")) == ["second.example.com"])
        assert all(change.body is not None for batch in batches for change in batch.changes)
        assert watcher.named("a")["metadata"]["uid"] == uid
        assert watcher.findings == ()


@pytest.mark.parametrize("how", ["emptied", "deleted"])
async def test_a_file_emptied_or_deleted_takes_its_objects_along(place: Place, how: str) -> None:
    place.write("a.yaml", table("a"))
    place.write("b.yaml", table("b"))
    async with place.cluster() as cluster:
        watcher = Watcher(cluster.watch())
        await watcher.next()
        await cluster.write_status(ObjectKey(TABLE, "c1", "shop", "a"), {"state": "ACCEPTED"})
        if how == "emptied":
            place.write("a.yaml", "# nothing\n")
        else:
            (place.root / "a.yaml").unlink()
        await watcher.until(lambda: watcher.named("a") is None)
        assert watcher.named("b")
        assert cluster.status(ObjectKey(TABLE, "c1", "shop", "a")) is None


async def test_a_file_that_holds_nothing_at_all_is_told_of(place: Place) -> None:
    place.write("a.yaml", table("a"))
    place.write("b.yaml", table("b"))
    async with place.cluster() as cluster:
        watcher = Watcher(cluster.watch())
        await watcher.next()
        place.write("a.yaml", "\n")
        await watcher.until(lambda: watcher.named("a") is None and watcher.codes == ["EmptyFile"])
        assert watcher.findings[0].message.startswith("file a.yaml is empty: it holds no document")
        place.write("a.yaml", "# nothing\n")
        await watcher.until(lambda: watcher.codes == [])
        place.write("a.yaml", "")
        await watcher.until(lambda: watcher.codes == ["EmptyFile"])
        place.write("a.yaml", table("a"))
        await watcher.until(lambda: watcher.named("a") is not None)
        assert watcher.codes == []


async def test_generation_counts_changes_of_the_spec_only(place: Place) -> None:
    place.write("a.yaml", table("a"))
    async with place.cluster() as cluster:
        watcher = Watcher(cluster.watch())
        await watcher.next()
        assert watcher.named("a")["metadata"]["generation"] == 1
        place.write("a.yaml", table("a").replace("namespace: shop", "namespace: shop, labels: {x: y}"))
        await watcher.next()
        assert watcher.named("a")["metadata"]["generation"] == 1
        place.write("a.yaml", table("a", "new.example.com"))
        await watcher.next()
        assert watcher.named("a")["metadata"]["generation"] == 2
    async with place.cluster() as cluster:
        watcher = Watcher(cluster.watch())
        await watcher.next()
        assert watcher.named("a")["metadata"]["generation"] == 2


async def test_identity_is_given_once_and_a_new_object_gets_a_new_one(place: Place) -> None:
    place.write("a.yaml", table("a"))
    place.write("own.yaml", table("own").replace("{", "{uid: mine, creationTimestamp: 2020-01-02T03:04:05Z, ", 1))
    async with place.cluster() as cluster:
        watcher, uid = Watcher(cluster.watch()), cluster.uid
        await watcher.next()
        first = watcher.named("a")["metadata"]
        own = watcher.named("own")["metadata"]
        assert (own["uid"], own["creationTimestamp"]) == ("mine", "2020-01-02T03:04:05Z")
    async with place.cluster() as cluster:
        watcher = Watcher(cluster.watch())
        await watcher.next()
        assert cluster.uid == uid
        assert watcher.named("a")["metadata"] == first
        (place.root / "a.yaml").unlink()
        await watcher.until(lambda: watcher.named("a") is None)
        place.write("a.yaml", table("a"))
        await watcher.until(lambda: watcher.named("a") is not None)
        assert watcher.named("a")["metadata"]["uid"] != first["uid"]


@pytest.mark.spec("M-8")
async def test_changes_that_nobody_reads_make_no_batch(place: Place) -> None:
    text = table("a").replace("{", "{managedFields: [{manager: x}], resourceVersion: '1', ", 1) + "status: {n: 1}\n"
    place.write("a.yaml", text)
    async with place.cluster() as cluster:
        watcher = Watcher(cluster.watch())
        await watcher.next()
        place.write("a.yaml", text.replace("manager: x", "manager: y").replace("n: 1", "n: 2").replace("'1'", "'2'"))
        place.write("b.yaml", table("b"))
        await watcher.until(lambda: watcher.named("b") is not None)
        place.write("c.yaml", table("c"))
        batches = await watcher.until(lambda: watcher.named("c") is not None)
        assert [change.key.name for batch in batches for change in batch.changes] == ["c"]
        assert watcher.named("a")["metadata"].keys() == {"name", "namespace", "uid", "creationTimestamp", "generation"}


async def test_namespaces_exist_by_use_and_a_declared_one_wins(place: Place) -> None:
    place.write("a.yaml", table("a", namespace="shop") + "---\n" + table("b", namespace="default"))
    async with place.cluster() as cluster:
        watcher = Watcher(cluster.watch(["core/Namespace"]))
        await watcher.next()
        assert {key.name for key in watcher.objects} == {"shop", "default"}
        assert watcher.named("shop")["metadata"]["labels"] == {"kubernetes.io/metadata.name": "shop"}
        place.write("ns.yaml", "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop, labels: {team: x}}\n")
        await watcher.next()
        labels = {"kubernetes.io/metadata.name": "shop", "team": "x"}
        assert watcher.named("shop")["metadata"]["labels"] == labels
        place.write("a.yaml", table("a", namespace="shop"))
        await watcher.until(lambda: watcher.named("default") is None)


async def test_watchers_see_their_types_and_the_newest_state_only(place: Place) -> None:
    async with place.cluster() as cluster:
        tables = Watcher(cluster.watch(["*.gloo.solo.io/*"]))
        everything = Watcher(cluster.watch())
        await tables.next()
        await everything.next()
        place.write("odd.yaml", "apiVersion: example.com/v1\nkind: Odd\nmetadata: {name: odd}\n")
        for n in range(3):
            place.write("a.yaml", table("a", f"{n}.example.com"))
            await everything.until(lambda n=n: hosts(everything.named("a")) == [f"{n}.example.com"])  # type: ignore[misc]
        batch = await tables.next()
        assert [change.key.name for change in batch.changes] == ["a"]
        assert hosts(tables.named("a")) == ["2.example.com"]
        assert everything.named("odd")["metadata"]["namespace"] == "default"


async def test_state_inside_the_root_is_not_watched(tmp_path: Path) -> None:
    place = Place(tmp_path)
    place.state = place.root / "state"
    place.write("a.yaml", table("a"))
    place.write("state/b.yaml", table("b"))
    async with place.cluster() as cluster:
        watcher = Watcher(cluster.watch())
        await watcher.next()
        assert watcher.named("a")
        assert watcher.named("b") is None


async def test_a_status_that_is_being_written_goes_with_its_object(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, gone = threading.Event(), threading.Event()
    replace = os.replace

    def late(old: str | Path, new: str | Path) -> None:
        if str(new).endswith("/shop/a.json"):
            begun.set()
            assert gone.wait(10)
        replace(old, new)

    monkeypatch.setattr(os, "replace", late)
    key = ObjectKey(TABLE, "c1", "shop", "a")
    place.write("a.yaml", table("a"))
    async with place.cluster() as cluster, asyncio.TaskGroup() as tasks:
        watcher = Watcher(cluster.watch())
        await watcher.next()
        writing = tasks.create_task(cluster.write_status(key, {"state": "ACCEPTED"}), name="write")
        assert await asyncio.to_thread(begun.wait, 10)
        place.write("a.yaml", table("b"))
        await watcher.until(lambda: watcher.named("a") is None)
        gone.set()
        written = await writing
        assert (cluster.status(key), written) == (None, False)
        place.write("a.yaml", table("a"))
        await watcher.until(lambda: watcher.named("a"))
        assert cluster.status(key) is None
        assert await cluster.write_status(key, {"state": "ACCEPTED"})


async def test_status_is_written_only_when_it_differs(place: Place) -> None:
    key = ObjectKey(TABLE, "c1", "shop", "a")
    place.write("a.yaml", table("a"))
    async with place.cluster() as cluster:
        await cluster.write_status(key, {"state": "ACCEPTED"})
        path = place.state / "status" / "networking.gloo.solo.io_RouteTable" / "shop" / "a.json"
        inode = path.stat().st_ino
        await cluster.write_status(key, {"state": "ACCEPTED"})
        assert path.stat().st_ino == inode
        await cluster.write_status(key, {"state": "FAILED"})
        assert path.stat().st_ino != inode
        assert cluster.status(key) == {"state": "FAILED"}
        assert sorted(p.name for p in place.root.iterdir()) == ["a.yaml"]
