"""Objects as read-only files below one folder; durable before `put` returns."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

from maquette.core.errors import ObjectNotFound
from maquette.core.storage import Key, Storage, Stored, checked_key
from maquette.disk import explained, write_durably


class LocalStorage(Storage):
    """One file an object, named by its key, never written twice."""

    id = "local"

    def __init__(self, root: Path) -> None:
        self._root = root

    async def put(self, key: Key, data: bytes) -> Stored:
        path = self._path(key)

        def write() -> None:
            if not path.is_file():
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
                yield Stored(Key(name), path.stat().st_size)

    def local_path(self, key: Key) -> Path | None:
        return self._path(key)

    def _path(self, key: Key) -> Path:
        return self._root / checked_key(key)


def _absent(key: Key) -> ObjectNotFound:
    return ObjectNotFound(f"The store has no object {key!r}; `maquette verify` checks all of them.")
