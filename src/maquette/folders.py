"""A project's root: the folders people look into, and nothing outside of it.

The store under `.maquette/` holds the bytes; these folders show them under human names.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import sys
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import count
from pathlib import Path, PurePosixPath
from typing import Literal
from uuid import uuid4

from filelock import FileLock

from maquette.core.errors import Conflict, UnsafePath
from maquette.disk import (
    explained,
    make_folder,
    moved,
    shortened,
    sync_folder,
    write_durably,
)

OUTPUTS = "outputs"
UPSCALED = "upscaled"
COLOUR_CORRECTED = "color_corrected"
BACKGROUND_REMOVED = "background_removed"
RUNS = "runs"
BAD = "archive/bad"
REPLACED = "archive/replaced"
SHOWN = (OUTPUTS, UPSCALED, COLOUR_CORRECTED, BACKGROUND_REMOVED, RUNS, BAD, REPLACED)
PRIVATE = ".maquette"
OWNER = f"{PRIVATE}/owner.json"
TRASH = f"{PRIVATE}/trash"
_LOCK = f"{PRIVATE}/place.lock"
_LONGEST_NAME, _LONGEST_PATH = 255, 1024

LEFTOVER_S = 3600
"""A file this old is what a crash left, not what another process is about to use."""

TRASH_DAYS = 7
"""For so long what was swept can be put back by hand."""

_LONGEST_STEM = 200
"""In bytes: with a time, a number and a suffix it is below the 255 of every file system."""

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
                with suppress(FileNotFoundError):  # another process has finished with it
                    # Not the time of the bytes: a hard link shares that with its object.
                    if time.time() - rest.stat().st_ctime > LEFTOVER_S:  # else it may be in use
                        rest.unlink()

    def claim(self, project_id: str, slug: str) -> None:
        """Note whose root this is; raise `Conflict` where it is another project's."""
        if self.check_owner(project_id, slug):
            return
        with explained(self.root), self._alone():
            if not self.check_owner(project_id, slug):
                owner = {"project": project_id, "slug": slug}
                self.write(OWNER, json.dumps(owner).encode() + b"\n")

    def check_owner(self, project_id: str | None, slug: str) -> bool:
        """Say whether the project has claimed the root; raise `Conflict` where another has."""
        claimed = self.owner()
        if claimed is None:
            return False
        owner, name = claimed
        if owner is not None and owner == project_id:
            return True
        whose = "a project that cannot be told" if owner is None else f"the project {name!r}"
        raise Conflict(
            f"The folder {str(self.root)!r} belongs to {whose}, and not to {slug!r} of this "
            f"database. Nothing was changed. Give {slug!r} a folder of its own: --project-root "
            f"DIR, or `maquette project storage set-local {slug} --root DIR`. Where the other is "
            f"gone for good, delete {str(self.root / OWNER)!r}: its stored pictures are leftovers."
        )

    def owner(self) -> tuple[str | None, str] | None:
        """Return the id and slug of the project that has claimed the root; None: nobody has."""
        path = self.inside(OWNER)
        with explained(path):
            try:
                return _owner(path.read_text(encoding="utf-8"))
            except FileNotFoundError:
                return None

    def inside(self, relative: str) -> Path:
        """Return the path of a name below the root, or raise `UnsafePath`.

        `..`, absolute names and symbolic links among the parents are refused.
        """
        parts = PurePosixPath(relative.replace("\\", "/")).parts
        if not parts or relative.startswith(("/", "\\")) or ".." in parts or "\0" in relative:
            raise UnsafePath(f"{relative!r} leads out of the project's root; give a plain name.")
        if os.name == "nt" and ":" in relative:
            raise UnsafePath(f"{relative!r} is not a plain name.")
        if (
            any(len(part.encode()) > _LONGEST_NAME for part in parts)
            or len(relative) > _LONGEST_PATH
        ):
            raise UnsafePath(f"{relative[:60]!r}… is longer than a file's name can be; shorten it.")
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
        with explained(target), self._alone():
            if target.is_dir() and not target.is_symlink():
                raise UnsafePath(
                    f"{str(target)!r} is a folder where a picture should go; move it away."
                )
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
        with explained(source), self._alone():
            goal = self._move_away(source, BAD, at)
            sync_folder(source.parent)
        return goal

    def archived(self, relative: str) -> list[str]:
        """Return the names below `archive/replaced/` of what once had this name."""
        name = PurePosixPath(relative)
        stem, suffix = re.escape(shortened(name.stem, _LONGEST_STEM)), re.escape(name.suffix)
        pattern = re.compile(rf"{stem}\.\d{{8}}-\d{{6}}(-\d+)?{suffix}")
        folder = self.inside(f"{REPLACED}/-").parent
        names = sorted(path.name for path in folder.glob("*") if path.is_file())
        return [f"{REPLACED}/{name}" for name in names if pattern.fullmatch(name)]

    def discard(self, path: Path, key: str, at: datetime) -> bool:
        """Move an object of the store to the trash, unless somebody counts on it just now."""
        goal = self.inside(f"{TRASH}/{at:%Y-%m-%d}/{key}")
        with explained(path):
            make_folder(goal.parent)
            try:
                path.replace(goal)
            except FileNotFoundError:
                return False
            if young(goal):  # it was wanted again in this very moment
                goal.replace(path)
                return False
            sync_folder(path.parent)
            sync_folder(goal.parent)
        return True

    def empty_trash(self, at: datetime) -> None:
        """Delete for good what has lain in the trash for `TRASH_DAYS`."""
        trash = self.inside(f"{TRASH}/-").parent
        with explained(trash):
            for folder in trash.glob("????-??-??"):
                with suppress(ValueError):
                    age = at.date() - date.fromisoformat(folder.name)
                    if age > timedelta(days=TRASH_DAYS) and not folder.is_symlink():
                        shutil.rmtree(folder)

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
        return self._move_away(target, REPLACED, at)

    def _move_away(self, source: Path, folder: str, at: datetime) -> str:
        """Move a file to the first name that is free there, and never onto another file."""
        below = self.inside(f"{folder}/-").parent
        make_folder(below)
        name = next(name for name in _names(source.name, at) if moved(source, below / name))
        sync_folder(below)
        return f"{folder}/{name}"

    @contextmanager
    def _alone(self) -> Generator[None]:
        """Let one process at a time, and one thread, change the names below the root."""
        path = self.inside(f"{_LOCK}/-").parent  # as a parent: a link would lead elsewhere
        make_folder(path.parent)
        lock = FileLock(path, poll_interval=0.01)
        try:
            lock.acquire()
        except NotImplementedError:  # a network file system without locks: names are still claimed
            yield
            return
        try:
            yield
        finally:
            lock.release()

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


def _owner(text: str) -> tuple[str | None, str]:
    try:
        found = json.loads(text)
        return str(found["project"]), str(found["slug"])
    except (ValueError, TypeError, LookupError):
        return None, ""


def young(path: Path) -> bool:
    """Say whether a file was stored, or asked to be stored, so lately that its row may follow."""
    return time.time() - path.stat().st_mtime < LEFTOVER_S


def _names(name: str, at: datetime) -> Iterator[str]:
    old = PurePosixPath(name)
    stem = f"{shortened(old.stem, _LONGEST_STEM)}.{at:%Y%m%d-%H%M%S}"
    yield f"{stem}{old.suffix}"
    for number in count(2):
        yield f"{stem}-{number}{old.suffix}"


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
