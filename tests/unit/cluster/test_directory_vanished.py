"""Absence is not deletion: the root gone, or all files gone at once, deletes nothing until a person releases it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable

import pytest

from tests.unit.cluster.folder_world import Place, Watcher, table


def _remove_files(place: Place) -> None:
    for path in place.root.iterdir():
        path.unlink()


WAYS: dict[str, tuple[Callable[[Place], None], str]] = {
    "all files deleted": (_remove_files, "AllFilesGone"),
    "root deleted": (lambda place: shutil.rmtree(place.root), "RootVanished"),
    "root moved away": (lambda place: os.rename(place.root, place.root.with_name("away")), "RootVanished"),
}


def _fill(place: Place) -> None:
    for name in "abc":
        place.write(f"{name}.yaml", table(name))


@pytest.mark.parametrize("way", WAYS)
async def test_nothing_is_deleted_until_released_also_over_a_restart(place: Place, way: str) -> None:
    vanish, code = WAYS[way]
    _fill(place)
    async with place.cluster() as cluster:
        watcher = Watcher(cluster.watch())
        await watcher.next()
        vanish(place)
        await watcher.until(lambda: code in watcher.codes and "kept: 3" in watcher.findings[0].message)
        assert all(watcher.named(name) for name in "abc")
    async with place.cluster() as cluster:
        watcher = Watcher(cluster.watch())
        await watcher.next()
        assert watcher.listed
        assert watcher.codes == [code]
        assert "fingerpost release" in watcher.findings[0].message
        assert all(watcher.named(name) for name in "abc")
        assert await cluster.release() == 3
        await watcher.until(lambda: not watcher.objects)
        assert "AllFilesGone" not in watcher.codes


@pytest.mark.parametrize("way", WAYS)
async def test_vanished_while_nobody_looked(place: Place, way: str) -> None:
    vanish, code = WAYS[way]
    _fill(place)
    async with place.cluster() as cluster:
        await Watcher(cluster.watch()).next()
    vanish(place)
    async with place.cluster() as cluster:
        watcher = Watcher(cluster.watch())
        await watcher.next()
        assert watcher.codes == [code]
        assert all(watcher.named(name) for name in "abc")


async def test_files_that_come_back_end_the_hold(place: Place) -> None:
    _fill(place)
    async with place.cluster() as cluster:
        watcher = Watcher(cluster.watch())
        await watcher.next()
        uid = watcher.named("a")["metadata"]["uid"]
        os.rename(place.root, place.root.with_name("away"))
        await watcher.until(lambda: "RootVanished" in watcher.codes)
        os.rename(place.root.with_name("away"), place.root)
        await watcher.until(lambda: watcher.codes == [])
        assert watcher.named("a")["metadata"]["uid"] == uid
        place.write("a.yaml", table("a", "edited.example.com"))
        await watcher.until(lambda: watcher.named("a")["spec"]["hosts"] == ["edited.example.com"])
        (place.root / "b.yaml").unlink()
        await watcher.until(lambda: watcher.named("b") is None)


async def test_what_comes_back_only_in_part_deletes_nothing(place: Place) -> None:
    _fill(place)
    async with place.cluster() as cluster:
        watcher = Watcher(cluster.watch())
        await watcher.next()
        _remove_files(place)
        await watcher.until(lambda: "AllFilesGone" in watcher.codes)
        place.write("other.yaml", table("a") + "---\n" + table("b"))
        await watcher.until(lambda: "kept: 1" in "".join(f.message for f in watcher.findings))
        assert all(watcher.named(name) for name in "abc")
        assert await cluster.release() == 1
        await watcher.until(lambda: watcher.named("c") is None)
        assert watcher.codes == []


async def test_a_file_that_went_while_nobody_looked_is_deleted_when_others_are_there(place: Place) -> None:
    _fill(place)
    async with place.cluster() as cluster:
        await Watcher(cluster.watch()).next()
    (place.root / "b.yaml").unlink()
    async with place.cluster() as cluster:
        watcher = Watcher(cluster.watch())
        await watcher.next()
        assert watcher.listed
        assert watcher.codes == []
        assert watcher.named("a")
        assert watcher.named("b") is None


async def test_a_root_that_never_was_there_proves_nothing(place: Place) -> None:
    place.root.rmdir()
    async with place.cluster() as cluster:
        watcher = Watcher(cluster.watch())
        assert not (await watcher.next()).listed
        assert watcher.codes == ["RootVanished"]
        place.root.mkdir()
        await watcher.until(lambda: watcher.listed)
        place.write("a.yaml", table("a"))
        await watcher.until(lambda: watcher.named("a") is not None)


async def test_relist_reads_everything_again_and_believes_what_it_finds(place: Place) -> None:
    _fill(place)
    async with place.cluster() as cluster:
        watcher = Watcher(cluster.watch())
        await watcher.next()
        (place.root / "b.yaml").unlink()
        await cluster.relist()
        batch = await watcher.next()
        assert batch.listed
        assert sorted(change.key.name for change in batch.changes if change.body is not None) == ["a", "c", "shop"]
        assert [change.key.name for change in batch.changes if change.body is None] == ["b"]  # told in both ways
