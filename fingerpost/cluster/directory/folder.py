"""The folder as a set of objects: takes readings of files, decides what is in force, what is held, and what a person
must see.

It touches no file. Absence is not deletion here: a file that goes is waited for, and when all of them go they are
held until released.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from fingerpost.cluster.directory.holdings import Holdings
from fingerpost.cluster.directory.identity import identify, stamped
from fingerpost.cluster.directory.manifest import DUPLICATE, ManifestObject
from fingerpost.cluster.directory.reading import Reading
from fingerpost.cluster.directory.records import FileRecord, Records, Remembered
from fingerpost.cluster.directory.tree import Signature, Tree
from fingerpost.cluster.protocol import Change, Finding
from fingerpost.objects import ObjectKey


class Folder:
    """`bodies` are the objects in force. `uncertain` are files that went or were emptied a moment ago and may come
    back.
    """

    def __init__(self, root: Path, cluster: str, records: Records, remembered: Remembered) -> None:
        self._root = root
        self._records = records
        self._holdings = Holdings(cluster)
        self._signatures: dict[str, Signature] = {}
        self._file_findings: dict[str, tuple[Finding, ...]] = {}
        self._held: set[str] = set()
        self._identities = remembered.identities
        self._findings: tuple[Finding, ...] | None = None
        self._lost = remembered.lost
        self._trusted = bool(remembered.files)
        self.uncertain: set[str] = set()
        self.bodies: dict[ObjectKey, bytes] = {}
        self.root_missing = False
        for path, record in remembered.files.items():
            self._holdings.put(path, record.objects)
            if record.held:
                self._holdings.miss(path)
                self._held.add(path)
        for key, identity in remembered.identities.items():
            self._holdings.prefer(key, identity.owner)

    @property
    def listable(self) -> bool:
        """False while the folder has never been there: then nothing may be concluded from what is absent."""
        return self._trusted

    @property
    def held(self) -> int:
        """Objects that are in force only because their files are held."""
        return sum(1 for found in self._holdings.in_force.values() if found.source in self._held) if self._held else 0

    def rename(self, old: str, new: str) -> None:
        if old in self._holdings and new not in self._holdings:
            self._holdings.rename(old, new)
            self._records.note_file(old, None)
            self._note(new)

    def compare(self, tree: Tree | None, fresh: frozenset[str], *, everything: bool, forced: bool) -> set[str]:
        """The files to read. Files of a folder that was watched all along report themselves, unless they are links."""
        self.root_missing = tree is None
        self._findings = None
        known = self._holdings.sources
        if tree is None:
            return set(known)
        self._trusted = True
        out = {path for path in known if path not in tree.files and path not in self._held}
        for path, entry in tree.files.items():
            suspect = everything or entry.linked or entry.folder in fresh
            if forced or (suspect and self._signatures.get(path) != entry.signature):
                out.add(path)
        return out

    def loses(self, reading: Reading) -> bool:
        """Whether something that is in force would go, if only to another file."""
        if reading.manifest is None:
            return False  # that is waited for anyway
        last = self._holdings.objects(reading.path)
        return bool({one.key for one in last} - {one.key for one in reading.manifest.over(last)})

    def take(self, reading: Reading) -> None:
        path = reading.path
        if reading.unreadable is not None:
            kept = frozenset(one.key for one in self._holdings.objects(path))
            self._note_findings(path, (reading.unreadable._replace(keeps=kept),))
            return
        if reading.manifest is None:
            self._gone(path)
            return
        manifest, last = reading.manifest, self._holdings.objects(path)
        if reading.signature is not None:
            self._signatures[path] = reading.signature
        objects = manifest.over(last)
        if last and not objects and path not in self.uncertain:
            self.uncertain.add(path)  # truncated just now, or emptied for good?
            return
        self._note_findings(path, manifest.told(last))
        self._keep(path, objects)

    def conclude(self, readings: Iterable[Reading]) -> None:
        """The uncertain files were read once more after some quiet: what is absent now is gone."""
        gone = []
        for reading in readings:
            self.take(reading)
            if reading.manifest is None and reading.unreadable is None and reading.path in self._holdings:
                gone.append(reading.path)
        self.uncertain.clear()
        gone = [path for path in gone if path not in self._held]
        if not self._holdings.sources - self._holdings.missing and any(self._holdings.objects(path) for path in gone):
            self._held.update(gone)
            for path in gone:
                self._note(path)
        else:
            for path in gone:
                self._drop(path)
        self._findings = None

    def release(self) -> int:
        """Let go of what is held; the answer is the number of objects that go."""
        count = self.held
        for path in sorted(self._held):
            self._drop(path)
        self._trusted = True
        self._findings = None
        return count

    def settle(self) -> list[Change]:
        changes = []
        for key in self._holdings.settle():
            now = self._holdings.in_force.get(key)
            if now is None:
                self._forget(key)
                self.bodies.pop(key, None)
                changes.append(Change(key, None))
                continue
            before = self._identities.get(key)
            identity = self._identities[key] = identify(now.object, before, now.source)
            if identity != before:
                self._records.note_identity(key, identity)
            body = stamped(now.object, identity)
            if self.bodies.get(key) != body:
                self.bodies[key] = body
                changes.append(Change(key, body))
        if changes:
            self._findings = None
            self._drop_replaced()
        return changes

    def forget_absent(self) -> list[ObjectKey]:
        """After the first reading: objects that went while nobody looked."""
        absent = [key for key in self._identities if key not in self.bodies]
        for key in absent:
            self._forget(key)
        return absent

    def findings(self) -> tuple[Finding, ...]:
        """All that hold now."""
        if self._findings is None:
            found = [*self._about_the_whole()]
            for path in sorted(self._file_findings):
                found += (self._of_now(path, one) for one in self._file_findings[path])
            for key, sources in sorted(self._holdings.duplicates.items()):
                for other in sources[1:]:
                    message = (
                        f"file {other}: {key} is also in file {sources[0]}, which was seen first and stays in force; "
                        "remove one of the two"
                    )
                    found.append(Finding(other, DUPLICATE, message, frozenset({key})))
            self._findings = tuple(found)
        return self._findings

    def _of_now(self, path: str, finding: Finding) -> Finding:
        """Another file may have taken over what this one kept."""
        in_force = self._holdings.in_force
        mine = frozenset(key for key in finding.keeps if key in in_force and in_force[key].source == path)
        return finding if mine == finding.keeps else finding._replace(keeps=mine)

    def _about_the_whole(self) -> Iterable[Finding]:
        held = self.held
        kept = (
            f"; nothing was deleted (objects kept: {held}), bring the files back or let the objects go "
            'with "fingerpost release"'
        )
        if self.root_missing:
            message = f"the folder {self._root} does not exist"
            remedy = kept if held else "; create it, or name another folder as directory"
            yield Finding("", "RootVanished", message + remedy)
        elif held:
            yield Finding("", "AllFilesGone", f"all files went at once from the folder {self._root}" + kept)
        if self._lost:
            message = (
                f"the state of the folder could not be read and was put aside as {self._lost}; objects have new uids"
            )
            yield Finding("", "StateLost", message)

    def _gone(self, path: str) -> None:
        self._signatures.pop(path, None)
        if path not in self._holdings:
            self._note_findings(path, ())
        elif path not in self._held:
            self._holdings.miss(path)
            self.uncertain.add(path)

    def _keep(self, path: str, objects: tuple[ManifestObject, ...]) -> None:
        new = path not in self._holdings or path in self._held or self._holdings.objects(path) != objects
        self._held.discard(path)
        self.uncertain.discard(path)
        self._holdings.put(path, objects)
        self._findings = None
        if new:
            self._note(path)

    def _drop(self, path: str) -> None:
        self._held.discard(path)
        self.uncertain.discard(path)
        self._holdings.drop(path)
        self._signatures.pop(path, None)
        self._note_findings(path, ())
        self._records.note_file(path, None)

    def _drop_replaced(self) -> None:
        """A held file whose objects are all in other files now has nothing left to say."""
        for path in list(self._held):
            in_force = self._holdings.in_force
            if not any(in_force[one.key].source == path for one in self._holdings.objects(path)):
                self._drop(path)

    def _note(self, path: str) -> None:
        self._records.note_file(path, FileRecord(self._holdings.objects(path), path in self._held))

    def _note_findings(self, path: str, findings: tuple[Finding, ...]) -> None:
        if self._file_findings.get(path, ()) != findings:
            self._findings = None
            self._file_findings[path] = findings
        if not findings:
            self._file_findings.pop(path, None)

    def _forget(self, key: ObjectKey) -> None:
        self._identities.pop(key, None)
        self._records.note_identity(key, None)
