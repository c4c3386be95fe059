"""Large files: limits are named, and nothing else waits for them."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest

from fingerpost.api.limits import LARGEST_ANNOTATIONS, LARGEST_FILE, LARGEST_OBJECT
from fingerpost.cluster.directory.manifest import read_manifest
from tests.unit.cluster.folder_world import Place, Watcher, hosts, table

_PATIENCE = 60  # seconds; parsing takes as long as the machine is busy


def large(name: str, host: str = "large.example.com", more: str = "") -> str:
    """A second of work for the parser, beside the table of that name."""
    rows = "\n".join(f"  - {{name: r{i}, matchers: [{{uri: {{exact: /p{i}}}}}]}}" for i in range(10_000))
    filler = f"apiVersion: example.com/v1\nkind: Rows\nmetadata: {{name: rows}}\nspec:\n{rows}\n"
    return f"{table(name, host)}---\n{more}{filler}"


async def test_an_edit_does_not_wait_for_a_large_file(place: Place) -> None:
    place.write("small.yaml", table("small"))
    async with place.cluster() as cluster:
        watcher = Watcher(cluster.watch())
        await watcher.next()
        place.write("a-large.yaml", large("big"))
        place.write("small.yaml", table("small", "edited.example.com"))
        await watcher.until(lambda: hosts(watcher.named("small")) == ["edited.example.com"])
        assert watcher.named("big") is None, "the small one came second"
        await watcher.until(lambda: watcher.named("big") is not None, _PATIENCE)


async def test_what_moves_into_a_large_file_is_never_away(place: Place) -> None:
    place.write("small.yaml", table("small") + "---\n" + table("other"))
    place.write("gone.yaml", table("gone"))
    async with place.cluster() as cluster:
        watcher = Watcher(cluster.watch())
        await watcher.next()
        place.write(
            "large.yaml", large("big", more=table("small", "new.example.com") + "---\n" + table("gone") + "---\n")
        )
        place.write("small.yaml", table("other", "edited.example.com"))
        os.remove(place.root / "gone.yaml")
        place.write("last.yaml", table("last"))
        batches = await watcher.until(lambda: hosts(watcher.named("small")) == ["new.example.com"], _PATIENCE)
        batches += await watcher.until(lambda: hosts(watcher.named("other")) == ["edited.example.com"])
        assert not [c for batch in batches for c in batch.changes if c.body is None]
        os.remove(place.root / "large.yaml")
        await watcher.until(lambda: watcher.named("gone") is None and watcher.named("small") is None)


async def test_a_large_file_that_changes_while_it_is_parsed_counts_as_it_is_now(place: Place) -> None:
    place.write("a.yaml", table("a"))
    async with place.cluster() as cluster:
        watcher = Watcher(cluster.watch())
        await watcher.next()
        for host in ("first.example.com", "second.example.com", "third.example.com"):
            place.write("large.yaml", large("big", host=host))
            place.write("a.yaml", table("a", host))
            await watcher.until(lambda host=host: hosts(watcher.named("a")) == [host])
        await watcher.until(lambda: hosts(watcher.named("big")) == ["third.example.com"], _PATIENCE)
        os.rename(place.root / "large.yaml", place.root / "moved.yaml")
        place.write("a.yaml", table("a", "renamed.example.com"))
        await watcher.until(lambda: hosts(watcher.named("a")) == ["renamed.example.com"])
        await cluster.relist()
        assert hosts(watcher.named("big")) == ["third.example.com"]
        assert not watcher.findings


def _as_json(metadata: dict[str, Any], **rest: Any) -> bytes:
    named = {"name": "c", "namespace": "shop"} | metadata
    return json.dumps({"apiVersion": "v1", "kind": "ConfigMap", "metadata": named} | rest).encode()


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (
            _as_json({}, data={"k": "x" * LARGEST_OBJECT}),
            ("ConfigMap shop/c", f"{LARGEST_OBJECT} bytes (8 MiB)", "split"),
        ),
        (
            _as_json({"annotations": {"note": "x" * LARGEST_ANNOTATIONS}}),
            ("metadata.annotations", 'ConfigMap "c"', f"{LARGEST_ANNOTATIONS} bytes (256 KiB)", "shorten"),
        ),
    ],
    ids=["object", "annotations"],
)
def test_an_object_over_a_limit_is_named_with_it(data: bytes, words: tuple[str, ...]) -> None:
    found = read_manifest("a.yaml", data + b"\n---\n" + table("good").encode(), "c1")
    assert [one.key.name for one in found.objects] == ["good"]
    (finding,) = found.findings
    assert finding.code == "TooLarge"
    assert all(word in finding.message for word in ("file a.yaml, document 1", *words)), finding


def test_objects_and_annotations_at_the_limit_are_taken() -> None:
    room = LARGEST_OBJECT - len(_as_json({}, data={"k": ""}).replace(b" ", b""))
    noted = {"annotations": {"note": "x" * (LARGEST_ANNOTATIONS - 4)}}
    for data in (_as_json({}, data={"k": "x" * room}), _as_json(noted)):
        assert not read_manifest("a.yaml", data, "c1").findings


async def test_what_has_no_end_or_no_writer_is_never_read(place: Place) -> None:
    """A link to a device, a pipe under the name of a manifest, and a file that is larger than anybody writes."""
    place.write("a.yaml", table("a"))
    place.write("b.yaml", table("b"))
    place.write("c.yaml", table("c"))
    async with place.cluster() as cluster:
        watcher = Watcher(cluster.watch())
        await watcher.next()
        os.symlink("/dev/zero", place.root / ".link")
        os.replace(place.root / ".link", place.root / "a.yaml")
        os.mkfifo(place.root / ".pipe")
        os.replace(place.root / ".pipe", place.root / "b.yaml")
        (place.root / ".long").touch()
        os.truncate(place.root / ".long", LARGEST_FILE + 1)
        os.replace(place.root / ".long", place.root / "c.yaml")
        place.write("d.yaml", table("d"))
        await watcher.until(lambda: len(watcher.findings) == 3 and watcher.named("d") is not None)
        assert sorted((f.source, f.code) for f in watcher.findings) == [
            ("a.yaml", "Unreadable"),
            ("b.yaml", "Unreadable"),
            ("c.yaml", "TooLarge"),
        ]
        assert f"at most {LARGEST_FILE} bytes (32 MiB)" in next(
            f.message for f in watcher.findings if f.code == "TooLarge"
        )
        assert all(watcher.named(name) is not None for name in "abc"), "their last good objects stay in force"
        for name in "abc":
            place.write(f"{name}.yaml", table(name, "mended.example.com"))
        await watcher.until(lambda: all(hosts(watcher.named(n)) == ["mended.example.com"] for n in "abc"))
        assert not watcher.findings
