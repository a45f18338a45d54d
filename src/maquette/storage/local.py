"""Objects as read-only files below one folder; durable before `put` returns."""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

from maquette.core.errors import ObjectNotFound
from maquette.core.requests import Digest, digest_of
from maquette.core.storage import Key, Storage, Stored, checked_key, object_key
from maquette.disk import explained, make_folder, sync_folder, write_durably

_PIECE = 256 * 1024


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
            if not _holds(path, key, len(data), lambda: digest_of(data)):
                write_durably(path, data, scratch=self._root / "tmp", mode=0o444)

        await asyncio.to_thread(write)
        return Stored(key, len(data))

    async def put_file(self, key: Key, path: Path) -> Stored:
        """Put a file of any size; one in the store's own `tmp` becomes the object, uncopied."""
        return await asyncio.to_thread(self._put_file, self._path(key), key, path)

    def _put_file(self, target: Path, key: Key, source: Path) -> Stored:
        scratch = self._root / "tmp"
        with explained(source):
            size_bytes = source.stat().st_size
            if _holds(target, key, size_bytes, lambda: _digest_of(source)):
                return Stored(key, size_bytes)
            own = source.parent == scratch
            temporary = scratch / f"{uuid4().hex}.tmp"
            make_folder(target.parent)
            make_folder(scratch)
            try:
                _share(source, temporary) if own else shutil.copyfile(source, temporary)
                with temporary.open("rb") as file:
                    os.fsync(file.fileno())
                temporary.chmod(0o444)
                temporary.replace(target)
            finally:
                temporary.unlink(missing_ok=True)
            sync_folder(target.parent)
        return Stored(key, size_bytes)

    async def read(self, key: Key) -> bytes:
        path = self._path(key)

        def load() -> bytes:
            with explained(path):
                return path.read_bytes()

        if not path.is_file():
            raise _absent(key)
        return await asyncio.to_thread(load)

    async def stream(
        self, key: Key, start: int = 0, end: int | None = None
    ) -> AsyncGenerator[bytes]:
        path = self._path(key)
        if not path.is_file():
            raise _absent(key)
        with explained(path):
            file = await asyncio.to_thread(path.open, "rb")
            try:
                await asyncio.to_thread(file.seek, start)
                left = os.fstat(file.fileno()).st_size if end is None else end - start
                while left > 0 and (piece := await asyncio.to_thread(file.read, min(left, _PIECE))):
                    left -= len(piece)
                    yield piece
            finally:
                file.close()

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


def _share(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # a file system without hard links
        shutil.copyfile(source, target)


def _digest_of(path: Path) -> Digest:
    with path.open("rb") as file:
        return Digest(hashlib.file_digest(file, "sha256").hexdigest())


def _holds(path: Path, key: Key, size_bytes: int, digest: Callable[[], Digest]) -> bool:
    """Say whether the object is there, and mark it as wanted today: a sweep passes it over."""
    with explained(path):
        try:
            stored_bytes = path.stat().st_size
        except FileNotFoundError:
            return False
        if stored_bytes != size_bytes and key == object_key(digest()):
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
