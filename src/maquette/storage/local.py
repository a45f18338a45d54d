"""Objects as read-only files below one folder; durable before `put` returns."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

from maquette.core.errors import ObjectNotFound
from maquette.core.requests import digest_of
from maquette.core.storage import Key, Storage, Stored, checked_key, object_key
from maquette.disk import explained, write_durably


class LocalStorage(Storage):
    """One file an object, named by its key, never written twice.

    But for an object that a disk cut short: its right bytes, by its name's digest, heal it.
    """

    id = "local"

    def __init__(self, root: Path) -> None:
        self._root = root

    async def put(self, key: Key, data: bytes) -> Stored:
        path = self._path(key)

        def write() -> None:
            if not _holds(path, key, data):
                write_durably(path, data, scratch=self._root / "tmp", mode=0o444)

        await asyncio.to_thread(write)
        return Stored(key, len(data))

    async def read(self, key: Key) -> bytes:
        path = self._path(key)

        def load() -> bytes:
            with explained(path):
                return path.read_bytes()

        if not path.is_file():
            raise _absent(key)
        return await asyncio.to_thread(load)

    async def head(self, key: Key) -> Stored:
        path = self._path(key)
        if not path.is_file():
            raise _absent(key)
        return Stored(key, path.stat().st_size)

    async def delete(self, key: Key) -> None:
        path = self._path(key)
        with explained(path):
            path.unlink(missing_ok=True)

    async def walk(self, prefix: str) -> AsyncIterator[Stored]:
        folder = self._root / prefix.rpartition("/")[0]
        names = (
            (path.relative_to(self._root).as_posix(), path)
            for path in folder.rglob("*")
            if path.is_file()
        )
        for name, path in sorted(names):
            if name.startswith(prefix):
                with suppress(FileNotFoundError):  # it was deleted in the meantime
                    yield Stored(Key(name), path.stat().st_size)

    def local_path(self, key: Key) -> Path | None:
        return self._path(key)

    def _path(self, key: Key) -> Path:
        return self._root / checked_key(key)


def _holds(path: Path, key: Key, data: bytes) -> bool:
    """Say whether the object is there, and mark it as wanted today: a sweep passes it over."""
    with explained(path):
        try:
            size_bytes = path.stat().st_size
        except FileNotFoundError:
            return False
        if size_bytes != len(data) and key == object_key(digest_of(data)):
            return False
        try:
            os.utime(path)
        except FileNotFoundError:  # swept away in this very moment
            return False
        except OSError:  # somebody else's file, or a disk that is only read
            pass
    return True


def _absent(key: Key) -> ObjectNotFound:
    return ObjectNotFound(f"The store has no object {key!r}; `maquette verify` checks all of them.")
