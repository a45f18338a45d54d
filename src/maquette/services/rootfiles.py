"""The files of a project's root, as the mirror sees them."""

from __future__ import annotations

import hashlib
import mimetypes
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from maquette.disk import explained
from maquette.folders import OWNER, PRIVATE, Folders
from maquette.imaging import peek

OBJECTS = f"{PRIVATE}/objects/"
_HEAD_BYTES = 64


@dataclass(frozen=True)
class RootFile:
    """A file of the root."""

    path: str
    at: Path
    size_bytes: int


@dataclass(frozen=True)
class Fingerprint:
    """What tells two contents apart, and what they are called on the web."""

    sha256: str
    md5: str
    media_type: str


def files_of(folders: Folders) -> Iterator[RootFile]:
    """Find what is to be mirrored, in order; links are not followed.

    Of the private folder that is the objects, the replies and the owner; locks, scratch, trash and
    thumbnails are not.
    """
    with explained(folders.root):
        for folder, names, files in os.walk(folders.root, onerror=_raise):
            own = Path(folder) == folders.private
            names[:] = sorted(name for name in names if not own or name in ("objects", "replies"))
            for name in sorted(files):
                at = Path(folder, name)
                path = at.relative_to(folders.root).as_posix()
                if at.is_symlink() or (own and path != OWNER):
                    continue
                try:
                    info = at.stat()
                except FileNotFoundError:  # somebody moved it in this very moment
                    continue
                if at.is_file():
                    yield RootFile(path, at, info.st_size)


def _raise(error: OSError) -> None:
    """Let no folder that cannot be read pass for one that is empty."""
    if not isinstance(error, FileNotFoundError):  # one that is really gone
        raise error


def state_of(path: Path) -> tuple[int, int]:
    with explained(path):
        info = path.stat()
    return info.st_size, info.st_mtime_ns


def fingerprint(path: Path) -> Fingerprint:
    """Read a file once."""
    sha256, md5, head = hashlib.sha256(), hashlib.md5(usedforsecurity=False), b""
    with explained(path), path.open("rb") as file:
        while piece := file.read(1024 * 1024):
            head = head or piece[:_HEAD_BYTES]
            sha256.update(piece)
            md5.update(piece)
    kind = peek.format_of(head)
    guessed = f"image/{kind}" if kind is not None else mimetypes.guess_type(path.name)[0]
    return Fingerprint(sha256.hexdigest(), md5.hexdigest(), guessed or "application/octet-stream")
