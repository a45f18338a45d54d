"""An archive as a file: plain members one after the other, written and read in small pieces.

Its own few lines of tar, because what comes from strangers is read by the narrowest reader there
is: plain files with short names, no links, no devices, no extended headers. `tar` reads it too.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tarfile
import tempfile
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast
from uuid import uuid4

from isal import isal_zlib
from isal.igzip import IGzipFile

from maquette.core import archive
from maquette.core.errors import ArchiveDamaged, StorageUnavailable
from maquette.disk import explained, make_folder, sync_folder

_BLOCK = 512
PIECE_BYTES = 256 * 1024
_SMALL = 1024 * 1024
_DAY_S = 24 * 3600
_NotDeflated = cast("type[Exception]", isal_zlib.error)


class Packer:
    """Writes an archive member by member; the same members give the same bytes."""

    def __init__(self, file: IO[bytes]) -> None:
        self._gzip = cast("IO[bytes]", IGzipFile("", "wb", 1, cast("Any", file), 0))
        self._sums = tempfile.SpooledTemporaryFile[bytes](max_size=_SMALL)
        self._name = ""
        self._hash = hashlib.sha256()
        self._left = 0
        self._size = 0

    def begin(self, name: str, size_bytes: int) -> None:
        """Begin a member, whose bytes are fed next."""
        info = tarfile.TarInfo(name)
        info.size = size_bytes
        info.mode = 0o644
        self._gzip.write(info.tobuf(tarfile.USTAR_FORMAT, "ascii", "strict"))
        self._name, self._size, self._left = name, size_bytes, size_bytes
        self._hash = hashlib.sha256()

    def feed(self, data: bytes) -> None:
        self._left -= len(data)
        if self._left < 0:
            raise self._changed()
        self._hash.update(data)
        self._gzip.write(data)

    def end(self) -> str:
        """End the member; return the SHA-256 of its bytes."""
        if self._left:
            raise self._changed()
        self._gzip.write(bytes(-self._size % _BLOCK))
        found = self._hash.hexdigest()
        self._sums.write(f"{found}  {self._name}\n".encode())
        return found

    def add(self, name: str, data: bytes) -> None:
        self.begin(name, len(data))
        self.feed(data)
        self.end()

    def add_file(self, name: str, path: Path) -> str:
        """Add a file's bytes; return their SHA-256."""
        with explained(path), path.open("rb") as file:
            self.begin(name, os.fstat(file.fileno()).st_size)
            while data := file.read(PIECE_BYTES):
                self.feed(data)
        return self.end()

    def close(self) -> None:
        """Write the checksums and the end."""
        sums = self._sums
        size_bytes = sums.tell()
        sums.seek(0)
        self.begin(archive.CHECKSUMS, size_bytes)
        while data := sums.read(PIECE_BYTES):
            self.feed(data)
        self._gzip.write(bytes(-size_bytes % _BLOCK + 2 * _BLOCK))
        self.abandon()

    def abandon(self) -> None:
        self._sums.close()
        self._gzip.close()

    def _changed(self) -> StorageUnavailable:
        return StorageUnavailable(
            f"{self._name!r} changed its size while it was written; export again."
        )


@contextmanager
def scratch(home: Path) -> Generator[Path]:
    """Lend a folder for the while; what a crash left of others goes after a day."""
    folder = home / "tmp"
    with explained(folder):
        make_folder(folder)
        for rest in folder.iterdir():
            with suppress(FileNotFoundError):  # another process has finished with it
                if time.time() - rest.stat().st_mtime > _DAY_S:
                    shutil.rmtree(rest, ignore_errors=True)
        with tempfile.TemporaryDirectory(dir=folder) as mine:
            yield Path(mine)


@contextmanager
def packed(path: Path) -> Generator[Packer]:
    """Write an archive whole or not at all: under a temporary name, synced, renamed."""
    temporary = path.with_name(f".{path.name}.{uuid4().hex}.part")
    with explained(path):
        make_folder(path.parent)
        try:
            with temporary.open("xb") as file:
                packer = Packer(file)
                try:
                    yield packer
                    packer.close()
                except BaseException:
                    packer.abandon()
                    raise
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        sync_folder(path.parent)


@dataclass(frozen=True)
class Member:
    """What is next in an archive."""

    name: str
    size_bytes: int


class Unpacker:
    """Reads an archive's members in their order; anything strange is `ArchiveDamaged`."""

    def __init__(self, file: IO[bytes], name: str) -> None:
        self._file = file
        self._gzip = cast("IO[bytes]", IGzipFile("", "rb", fileobj=cast("Any", file)))
        self._archive = name
        self._unpacked = 0
        self._left = 0
        self._padding = 0

    def members(self) -> Iterator[Member]:
        """Yield each member; its bytes are read with `pieces` before the next, or passed over."""
        while True:
            for _ in self.pieces():
                pass
            self._exactly(self._padding)
            header = self._exactly(_BLOCK)
            if not any(header):
                break
            member = self._member(header)
            self._left, self._padding = member.size_bytes, -member.size_bytes % _BLOCK
            yield member
        if any(self._exactly(_BLOCK)) or self._read(1):
            raise self.damaged("something follows its end")

    def pieces(self) -> Iterator[bytes]:
        """Yield what is left of the present member's bytes."""
        while self._left:
            data = self._read(min(self._left, PIECE_BYTES))
            if not data:
                raise self.damaged("it is cut short")
            self._left -= len(data)
            yield data

    def all(self, most_bytes: int) -> bytes:
        """Return the present member whole, which must be small."""
        if self._left > most_bytes:
            raise self.damaged("a member of it is too large")
        return b"".join(self.pieces())

    def damaged(self, why: str) -> ArchiveDamaged:
        return ArchiveDamaged(
            f"{self._archive!r} cannot be taken in: {why}. Nothing of it was taken in. Export the "
            "project again, or copy the archive anew; `sha256sum` tells whether a copy is whole."
        )

    def _member(self, header: bytes) -> Member:
        try:
            info = tarfile.TarInfo.frombuf(header, "ascii", "strict")
        except (tarfile.HeaderError, ValueError):
            raise self.damaged("it holds a header that cannot be read") from None
        if info.type != tarfile.REGTYPE or info.linkname or info.size < 0:
            raise self.damaged(f"{info.name!r} in it is no plain file")
        if not archive.is_member(info.name):
            raise self.damaged(f"{info.name!r} is no member of a project's archive")
        return Member(info.name, info.size)

    def _exactly(self, count: int) -> bytes:
        data = self._read(count)
        if len(data) < count:
            raise self.damaged("it is cut short")
        return data

    def _read(self, count: int) -> bytes:
        try:
            data = self._gzip.read(count)
        except (EOFError, OSError, _NotDeflated) as error:
            raise self.damaged(f"it does not unpack ({error})") from None
        self._unpacked += len(data)
        packed_bytes = self._file.tell()
        most = archive.FREE_PART_BYTES + archive.MOST_UNPACKED_TO_PACKED * packed_bytes
        if self._unpacked > most:
            raise self.damaged("it unpacks to far more than a project would")
        return data


@contextmanager
def unpacked(path: Path) -> Generator[Unpacker]:
    """Open an archive for reading."""
    with explained(path), path.open("rb") as file:
        yield Unpacker(file, path.name)
