"""Durable, all-or-nothing file writing, and the operating system's refusals in our words."""

from __future__ import annotations

import errno
import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from maquette.core.errors import StorageFull, StorageReadOnly, StorageUnavailable

_FULL = {errno.ENOSPC, errno.EDQUOT}
_READ_ONLY = {errno.EROFS, errno.EACCES, errno.EPERM}


@contextmanager
def explained(path: Path) -> Generator[None]:
    """Turn an `OSError` into a `StorageUnavailable` that says what to do."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise StorageFull(
                f"The disk that holds {str(path)!r} is full. Nothing that was written before is "
                "lost: free some space, then `maquette resume`."
            ) from error
        if error.errno in _READ_ONLY:
            raise StorageReadOnly(
                f"{str(path)!r} cannot be written ({error.strerror}). Make it writable, then "
                "`maquette resume`."
            ) from error
        raise StorageUnavailable(f"{str(path)!r}: {error.strerror or error}.") from error


def write_durably(path: Path, data: bytes, *, scratch: Path, mode: int = 0o644) -> None:
    """Write a whole file or none: a temporary name, synced, renamed, the folder synced.

    `scratch` is a folder on the same file system; a crash leaves its rest there.
    """
    temporary = scratch / f"{uuid4().hex}.tmp"
    with explained(path):
        scratch.mkdir(parents=True, exist_ok=True)
        make_folder(path.parent)
        try:
            # Nobody else may read a private file, not even while it is being written.
            temporary.touch(mode=mode | 0o200, exist_ok=False)
            with temporary.open("r+b") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            temporary.chmod(mode)
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        sync_folder(path.parent)


def moved(source: Path, target: Path) -> bool:
    """Move a file to a name that nothing has; False where something has it."""
    if not source.is_symlink():
        try:
            os.link(source, target)
        except FileExistsError:
            return False
        except OSError:  # a file system without hard links
            pass
        else:
            source.unlink()
            return True
    try:
        target.open("xb").close()
    except FileExistsError:
        return False
    try:
        source.replace(target)
    except BaseException:
        target.unlink()
        raise
    return True


def make_folder(path: Path) -> None:
    """Make a folder and its parents, each durable in its own parent."""
    if path.is_dir():
        return
    make_folder(path.parent)
    path.mkdir(exist_ok=True)
    sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """Make renames in a folder durable; Windows does so by itself."""
    if os.name == "nt":
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def shortened(text: str, size_bytes: int) -> str:
    """Cut a text to so many bytes of UTF-8, between two characters."""
    return text.encode()[:size_bytes].decode(errors="ignore")
