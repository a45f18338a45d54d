"""A project's root: the folders people look into, and nothing outside of it.

The store under `.maquette/` holds the bytes; these folders show them under human names.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Literal
from uuid import uuid4

from maquette.core.errors import UnsafePath
from maquette.disk import explained, make_folder, sync_folder, write_durably

OUTPUTS = "outputs"
UPSCALED = "upscaled"
COLOUR_CORRECTED = "color_corrected"
BACKGROUND_REMOVED = "background_removed"
RUNS = "runs"
BAD = "archive/bad"
REPLACED = "archive/replaced"
SHOWN = (OUTPUTS, UPSCALED, COLOUR_CORRECTED, BACKGROUND_REMOVED, RUNS, BAD, REPLACED)
PRIVATE = ".maquette"

LEFTOVER_S = 3600
"""A temporary file this old is what a crash left, not what another process is writing."""

Show = Literal["auto", "link", "copy"]
"""`auto`: a reflink where the file system has one, else a read-only hard link, else a copy."""


def log_path(run_id: str) -> str:
    return f"{RUNS}/{run_id}.json"


def sheet_path(run_id: str) -> str:
    return f"{RUNS}/{run_id}.contact-sheet.png"


@dataclass(frozen=True)
class Placed:
    """Where a picture is shown, and where the file went that had the name before."""

    path: str
    replaced: str | None = None


class Folders:
    """The only code that writes names below a project's root."""

    def __init__(self, root: Path, show: Show = "auto") -> None:
        self.root = root.expanduser().absolute()
        self._show: Show = show

    @property
    def private(self) -> Path:
        return self.root / PRIVATE

    @property
    def scratch(self) -> Path:
        return self.private / "tmp"

    def free_bytes(self) -> int:
        """Return the free space of the disk that holds the root."""
        with explained(self.root):
            return shutil.disk_usage(self.root).free

    def prepare(self) -> None:
        """Make the folders; clear what a crash left half-written."""
        with explained(self.root):
            make_folder(self.root)
            for name in (*SHOWN, PRIVATE, f"{PRIVATE}/{self.scratch.name}"):
                # As the parent of a name: the folder itself must not be a link either.
                make_folder(self.inside(f"{name}/-").parent)
            for rest in self.scratch.glob("*.tmp"):
                if time.time() - rest.stat().st_mtime > LEFTOVER_S:  # else it may be in use
                    rest.unlink(missing_ok=True)

    def inside(self, relative: str) -> Path:
        """Return the path of a name below the root, or raise `UnsafePath`.

        `..`, absolute names and symbolic links among the parents are refused.
        """
        parts = PurePosixPath(relative.replace("\\", "/")).parts
        if not parts or relative.startswith(("/", "\\")) or ".." in parts or "\0" in relative:
            raise UnsafePath(f"{relative!r} leads out of the project's root; give a plain name.")
        if os.name == "nt" and ":" in relative:
            raise UnsafePath(f"{relative!r} is not a plain name.")
        path = self.root
        for part in parts[:-1]:
            path = path / part
            if path.is_symlink():
                raise UnsafePath(
                    f"{str(path)!r} is a symbolic link. Maquette writes only inside the project's "
                    "root: replace the link with a folder, or move the root."
                )
        return path / parts[-1]

    def place(
        self, source: Path | bytes, relative: str, *, archive_replaced: bool, at: datetime
    ) -> Placed:
        """Show bytes under a name; whatever had the name moves to `archive/replaced/` first.

        Doing it again changes nothing, so a crash at any point can be repeated.
        """
        target = self.inside(relative)
        if target.is_dir() and not target.is_symlink():
            raise UnsafePath(
                f"{str(target)!r} is a folder where a picture should go; move it away."
            )
        with explained(target):
            if target.is_file() and not target.is_symlink() and _same(source, target):
                return Placed(relative)
            replaced = None
            make_folder(target.parent)
            make_folder(self.scratch)
            temporary = self.scratch / f"{uuid4().hex}.tmp"
            try:
                self._materialise(source, temporary)
                if archive_replaced and (target.exists() or target.is_symlink()):
                    replaced = self._archive(target, at)
                temporary.replace(target)
            except BaseException:
                temporary.unlink(missing_ok=True)
                raise
            sync_folder(target.parent)
        return Placed(relative, replaced)

    def move_to_bad(self, relative: str, at: datetime) -> str:
        """Move a file that a person rejected into `archive/bad/`; return its new name."""
        source = self.inside(relative)
        goal = self._free_name(f"{BAD}/{source.name}", at)
        target = self.inside(goal)
        with explained(target):
            make_folder(target.parent)
            source.rename(target)
            sync_folder(source.parent)
            sync_folder(target.parent)
        return goal

    def write(self, relative: str, data: bytes) -> None:
        """Write a file of our own (a run log, a contact sheet), whole or not at all."""
        write_durably(self.inside(relative), data, scratch=self.scratch)

    def relative(self, path: Path) -> str | None:
        """Return the name below the root, or None for a file elsewhere."""
        absolute = Path(os.path.abspath(path))  # noqa: PTH100 - resolve() would follow the file's own link
        if not absolute.is_relative_to(self.root):
            return None
        return absolute.relative_to(self.root).as_posix()

    def _archive(self, target: Path, at: datetime) -> str:
        goal = self._free_name(f"{REPLACED}/{target.name}", at)
        path = self.inside(goal)
        make_folder(path.parent)
        target.rename(path)
        sync_folder(path.parent)
        return goal

    def _free_name(self, wanted: str, at: datetime) -> str:
        name = PurePosixPath(wanted)
        stamped = name.with_name(f"{name.stem}.{at:%Y%m%d-%H%M%S}{name.suffix}")
        path, number = stamped, 2
        while os.path.lexists(self.inside(str(path))):
            path = stamped.with_name(f"{stamped.stem}-{number}{stamped.suffix}")
            number += 1
        return str(path)

    def _materialise(self, source: Path | bytes, target: Path) -> None:
        if isinstance(source, bytes):
            write_durably(target, source, scratch=self.scratch)
            return
        if self._show == "auto" and _reflink(source, target):
            return
        if self._show != "copy":
            try:
                os.link(source, target)
            except OSError:  # another file system, or one without hard links
                pass
            else:
                return
        shutil.copyfile(source, target)
        target.chmod(0o644)
        with target.open("rb") as file:
            os.fsync(file.fileno())


def _same(source: Path | bytes, target: Path) -> bool:
    if isinstance(source, bytes):
        return target.stat().st_size == len(source) and target.read_bytes() == source
    if target.samefile(source):
        return True
    if target.stat().st_size != source.stat().st_size:
        return False
    return _digest(target) == _digest(source)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _reflink(source: Path, target: Path) -> bool:
    """Share the blocks copy-on-write where Linux's FICLONE can; False where it cannot."""
    if sys.platform != "linux":
        return False
    import fcntl  # noqa: PLC0415 - not on every platform

    with source.open("rb") as old, target.open("xb") as new:
        try:
            fcntl.ioctl(new.fileno(), 0x40049409, old.fileno())
        except OSError:
            target.unlink()
            return False
        os.fsync(new.fileno())
    return True
