"""Secrets as a folder: a sub-folder per secret, a file per key. What a person copies there is taken up within a second.

A secret of several files is not replaced at once: who reads a certificate and its key checks that they match, and goes
on with the former pair until they do.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections.abc import AsyncIterator, Collection
from pathlib import Path

from fingerpost.secrets.protocol import Data, SecretsFailed

_LOOK = 0.5  # seconds; a look is one listing per secret
_KEY = ".key"  # how the names of keys end
_LOCK = ".lock"


class FolderSecrets:
    def __init__(self, folder: Path, look: float = _LOOK) -> None:
        self._folder, self._look = folder, look

    @property
    def where(self) -> str:
        return str(self._folder)

    async def get(self, name: str) -> Data:
        try:
            return {file.name: file.read_bytes() for file in self._files(name)}
        except OSError as wrong:
            raise self._failed("read", name, wrong) from wrong

    async def put(self, name: str, data: Data) -> None:
        try:
            self._put(name, data)
        except OSError as wrong:
            raise self._failed("write", name, wrong) from wrong

    def _put(self, name: str, data: Data) -> None:
        folder = self._made(name)
        for file in sorted(data, key=lambda file: not file.endswith(_KEY)):  # a certificate is never without its key
            _write(folder / file, data[file])

    async def create(self, name: str, data: Data) -> bool:
        """Of several processes that try at once one does it, and the others wait until it has."""
        try:
            return await asyncio.to_thread(self._create, name, data)
        except OSError as wrong:
            raise self._failed("write", name, wrong) from wrong

    def _create(self, name: str, data: Data) -> bool:
        with os.fdopen(os.open(self._made(name) / _LOCK, os.O_CREAT | os.O_RDWR, 0o600)) as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # given back when it is closed
            if self._files(name):
                return False
            self._put(name, data)
            return True

    def _made(self, name: str) -> Path:
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        folder = self._folder / name
        folder.mkdir(exist_ok=True, mode=0o700)
        return folder

    async def watch(self, names: Collection[str]) -> AsyncIterator[str]:
        known: dict[str, object] = {}
        while True:
            for name in names:
                if (now := self._signature(name)) != known.get(name, ()):
                    known[name] = now
                    yield name
            await asyncio.sleep(self._look)

    def _files(self, name: str) -> list[Path]:
        try:
            return sorted(f for f in (self._folder / name).iterdir() if f.is_file() and not f.name.startswith("."))
        except (FileNotFoundError, NotADirectoryError):
            return []

    def _signature(self, name: str) -> object:
        try:
            return [(f.name, (s := f.stat()).st_mtime_ns, s.st_ino, s.st_size) for f in self._files(name)]
        except OSError:
            return None  # it is being replaced

    def _failed(self, what: str, name: str, wrong: OSError) -> SecretsFailed:
        return SecretsFailed(
            f"secret {name} cannot be {what} in {self._folder}: {wrong.strerror}; let this process {what} the folder"
        )


def _write(path: Path, data: bytes) -> None:
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file:
        file.write(data)
    fresh.replace(path)
