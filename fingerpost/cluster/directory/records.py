"""What a folder's cluster must remember across restarts: last good objects per file, identities, which file was in
force.

An SQLite file in the state folder, written behind the back of the hot path: changes are noted in memory and flushed
together.
The data of Secrets is only kept when the owner of the folder asks for it.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple, TypeVar

import msgspec

from fingerpost.cluster.directory.manifest import SECRET_TYPE, ManifestObject
from fingerpost.cluster.protocol import ClusterFailed
from fingerpost.objects import ObjectKey

_SCHEMA = """
create table if not exists meta (name text primary key, value text not null);
create table if not exists file (path text primary key, held integer not null, objects blob not null);
create table if not exists identity (
  type text not null, namespace text not null, name text not null,
  uid text not null, created text not null, generation integer not null, spec blob not null, owner text not null,
  primary key (type, namespace, name)) without rowid;
"""
FILE_NAME = "folder.sqlite"
_K = TypeVar("_K")
_V = TypeVar("_V")


class Identity(NamedTuple):
    """Given at first sight. `spec` is the hash that `generation` counts the changes of."""

    uid: str
    created: str
    generation: int
    spec: bytes
    owner: str


class FileRecord(NamedTuple):
    """`held`: not on the disk any more, kept in force until a person releases it."""

    objects: tuple[ManifestObject, ...]
    held: bool


class Remembered(NamedTuple):
    uid: str
    files: dict[str, FileRecord]
    identities: dict[ObjectKey, Identity]
    lost: str = ""  # where an unreadable state was put aside


class Noted(NamedTuple):
    """None: forget it."""

    files: dict[str, FileRecord | None]
    identities: dict[ObjectKey, Identity | None]


class _StoredObject(msgspec.Struct, array_like=True):
    type: str
    namespace: str
    name: str
    spec: bytes
    content: msgspec.Raw


_decoder = msgspec.json.Decoder(list[_StoredObject])


class Records:
    """`note_*`, `take` and `put_back` belong to the event loop; `open` and `write` may run in a thread.

    `close` waits for a write: its thread goes on when nobody waits for it any more, and a database that is closed under
    it takes the process along.
    """

    def __init__(self, folder: Path, cluster: str, *, keep_secrets: bool) -> None:
        self._path = folder / FILE_NAME
        self._cluster = cluster
        self._keep_secrets = keep_secrets
        self._noted = Noted({}, {})
        self._db: sqlite3.Connection | None = None
        self._using = threading.Lock()

    @property
    def dirty(self) -> bool:
        return bool(self._noted.files or self._noted.identities)

    def note_file(self, path: str, record: FileRecord | None) -> None:
        self._noted.files[path] = record

    def note_identity(self, key: ObjectKey, identity: Identity | None) -> None:
        self._noted.identities[key] = identity

    def take(self) -> Noted:
        """What was noted since; the caller has it written."""
        noted, self._noted = self._noted, Noted({}, {})
        return noted

    def put_back(self, noted: Noted) -> None:
        """It could not be written; what was noted meanwhile is newer."""
        self._noted = Noted(noted.files | self._noted.files, noted.identities | self._noted.identities)

    def open(self, fresh_uid: str) -> Remembered:
        """Raises ClusterFailed. `fresh_uid` becomes the cluster's uid when there is none yet.

        A file that is no database any more is set aside, and `Remembered.lost` says where.
        """
        try:
            return self._open(fresh_uid)
        except ClusterFailed as failed:
            if not isinstance(failed.__cause__, sqlite3.DatabaseError | msgspec.DecodeError) or isinstance(
                failed.__cause__, sqlite3.OperationalError
            ):
                raise
        self.close()
        aside = self._path.with_name(self._path.name + ".broken")
        os.replace(self._path, aside)
        for ending in ("-wal", "-shm"):
            self._path.with_name(self._path.name + ending).unlink(missing_ok=True)
        return self._open(fresh_uid)._replace(lost=str(aside))

    def _open(self, fresh_uid: str) -> Remembered:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with contextlib.closing(os.fdopen(os.open(self._path, os.O_CREAT | os.O_RDWR, 0o600))):
                pass
            self._db = db = sqlite3.connect(self._path, check_same_thread=False, isolation_level=None)
            db.execute("pragma journal_mode=wal")
            db.execute("pragma synchronous=normal")
            db.executescript(_SCHEMA)
            db.execute("insert or ignore into meta values ('uid', ?)", (fresh_uid,))
            return self._load(db)
        except (OSError, sqlite3.Error, msgspec.DecodeError) as error:
            raise ClusterFailed(
                f"the state of the folder in {self._path} cannot be opened: {error}; make it accessible, or name "
                "another state_dir"
            ) from error

    def _load(self, db: sqlite3.Connection) -> Remembered:
        ((uid,),) = db.execute("select value from meta where name = 'uid'").fetchall()
        files = {
            path: FileRecord(tuple(self._stored(one) for one in _decoder.decode(blob)), bool(held))
            for path, held, blob in db.execute("select path, held, objects from file order by rowid")
        }
        identities = {
            ObjectKey(type_, self._cluster, namespace, name): Identity(*rest)
            for type_, namespace, name, *rest in db.execute("select * from identity")
        }
        return Remembered(uid, files, identities)

    def _stored(self, one: _StoredObject) -> ManifestObject:
        return ManifestObject(ObjectKey(one.type, self._cluster, one.namespace, one.name), bytes(one.content), one.spec)

    def write(self, noted: Noted) -> None:
        """Raises ClusterFailed. May run in a thread."""
        with self._using:
            if self._db is None:
                return
            try:
                self._write(self._db, noted)
            except sqlite3.Error as error:
                with contextlib.suppress(sqlite3.Error):
                    self._db.execute("rollback")
                raise ClusterFailed(f"the state of the folder in {self._path} cannot be written: {error}") from error

    def _write(self, db: sqlite3.Connection, noted: Noted) -> None:
        db.execute("begin immediate")
        gone, kept = _split(noted.files)
        db.executemany("delete from file where path = ?", ((path,) for path in gone))
        db.executemany(
            "insert into file values (?, ?, ?)"
            " on conflict do update set held = excluded.held, objects = excluded.objects",
            ((path, int(record.held), self._blob(record.objects)) for path, record in kept),
        )
        lost, known = _split(noted.identities)
        db.executemany(
            "delete from identity where type = ? and namespace = ? and name = ?",
            ((key.type, key.namespace, key.name) for key in lost),
        )
        db.executemany(
            "insert or replace into identity values (?, ?, ?, ?, ?, ?, ?, ?)",
            ((key.type, key.namespace, key.name, *identity) for key, identity in known),
        )
        db.execute("commit")

    def _blob(self, objects: Iterable[ManifestObject]) -> bytes:
        return msgspec.json.encode(
            [
                _StoredObject(o.key.type, o.key.namespace, o.key.name, o.spec, msgspec.Raw(o.content))
                for o in objects
                if self._keep_secrets or o.key.type != SECRET_TYPE
            ]
        )

    def close(self) -> None:
        with self._using:
            if self._db is not None:
                self._db.close()
                self._db = None


def _split(noted: dict[_K, _V | None]) -> tuple[list[_K], list[tuple[_K, _V]]]:
    return [k for k, v in noted.items() if v is None], [(k, v) for k, v in noted.items() if v is not None]
