"""Files on their way into a store: whoever writes one holds it, and what nobody holds is swept."""

from __future__ import annotations

import asyncio
import hashlib
import os
import sys
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO
from uuid import uuid4

from maquette.core.errors import StillWorking
from maquette.core.requests import Digest
from maquette.disk import explained, make_folder, sync_folder

TEMPORARY = "upload-*.tmp"
_PIECE = 1024 * 1024
_BINARY: int = getattr(os, "O_BINARY", 0)


class Staged:
    """A file in a store's `tmp`; its bytes are counted and hashed as they come."""

    def __init__(self, path: Path, file: IO[bytes]) -> None:
        self.path = path
        self._file = file
        self._hash = hashlib.sha256()
        self.size_bytes = 0

    @property
    def digest(self) -> Digest:
        return Digest(self._hash.hexdigest())

    async def write(self, data: bytes) -> None:
        await asyncio.to_thread(self._write, data)

    def _write(self, data: bytes) -> None:
        with explained(self.path):
            self._file.write(data)
            self._file.flush()
        self._hash.update(data)
        self.size_bytes += len(data)

    async def sync(self) -> None:
        """Let the bytes survive whatever comes; the disk has them on return."""
        await asyncio.to_thread(self._sync)

    def _sync(self) -> None:
        with explained(self.path):
            self._file.flush()
            os.fsync(self._file.fileno())
            sync_folder(self.path.parent)

    async def read_again(self) -> None:
        """Count and hash what the file holds now, after another process wrote it."""
        await asyncio.to_thread(self._read_again)

    def _read_again(self) -> None:
        self._hash = hashlib.sha256()
        self.size_bytes = 0
        with explained(self.path):
            self._file.flush()
            with self.path.open("rb") as file:
                while piece := file.read(_PIECE):
                    self._hash.update(piece)
                    self.size_bytes += len(piece)

    async def cut(self, size_bytes: int) -> None:
        """Forget what comes after so many bytes; the next are written there."""
        await asyncio.to_thread(self._cut, size_bytes)

    def _cut(self, size_bytes: int) -> None:
        with explained(self.path):
            self._file.flush()
            self._file.truncate(size_bytes)
            self._file.seek(size_bytes)


@contextmanager
def temporary(folder: Path) -> Generator[Staged]:
    """Make a file that is gone at the end of the block, or when the next server starts."""
    name = uuid4().hex
    # A sweep must not find it before it is locked, so it gets the name that is swept afterwards.
    with held(folder / f"new-{name}.tmp") as staged:
        try:
            with explained(staged.path):
                staged.path = staged.path.replace(folder / f"upload-{name}.tmp")
            yield staged
        finally:
            staged.path.unlink(missing_ok=True)


@contextmanager
def held(path: Path) -> Generator[Staged]:
    """Hold a file, made where it is missing; raise `StillWorking` where another request has it."""
    with explained(path):
        make_folder(path.parent)
        file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | _BINARY, 0o644), "r+b")
    with file:
        if not _locked(file):
            raise StillWorking(
                "Another request is writing this upload. Wait until it has ended, then ask with "
                "HEAD how far it came."
            )
        yield Staged(path, file)


def sweep(folder: Path) -> None:
    """Delete the temporary files that no living process holds."""
    for path in folder.glob(TEMPORARY):
        with suppress(OSError), path.open("r+b") as file:
            if _locked(file):
                path.unlink()


def _locked(file: IO[bytes]) -> bool:
    """Lock the file until it is closed, which a dying process does too."""
    if sys.platform == "win32":  # an open file cannot be deleted there
        return True
    import fcntl  # noqa: PLC0415 - not on every platform

    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a network file system without locks: an hour's rest sweeps there
        return True
    return True
