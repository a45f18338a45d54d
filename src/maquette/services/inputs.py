"""The pictures a run begins with: found, read, checked and named."""

from __future__ import annotations

import asyncio
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from maquette.core.errors import (
    BadParameter,
    Conflict,
    FileMissing,
    NothingToDo,
    UnsupportedImage,
)
from maquette.core.requests import Digest, Input, digest_of
from maquette.disk import shortened
from maquette.folders import PRIVATE, Folders
from maquette.imaging.files import read_file
from maquette.jobs.pixelwork import Facts, admit
from maquette.jobs.workers import PixelPool

PICTURES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".avif", ".tif", ".tiff", ".bmp", ".gif"})


@dataclass(frozen=True)
class GivenPicture:
    """A picture file that could be read; its bytes are read again where they are needed."""

    path: Path
    digest: Digest
    size_bytes: int
    facts: Facts

    def read(self) -> bytes:
        """Return the bytes that were planned with, or raise `Conflict` where they changed."""
        data = read_file(self.path)
        if digest_of(data) != self.digest:
            raise Conflict(
                f"The picture {str(self.path)!r} was changed while it was being used, so nothing "
                "was made of it. Give the same command again."
            )
        return data

    def as_input(self, role: str) -> Input:
        return Input.model_validate(
            {
                "role": role,
                "digest": self.digest,
                "name": self.path.name,
                "media_type": self.facts.media_type,
                "width_px": self.facts.width_px,
                "height_px": self.facts.height_px,
                "size_bytes": self.size_bytes,
            }
        )


def find_pictures(place: Path) -> list[Path]:
    """Return a file by itself, or the picture files of a folder by name."""
    if place.is_dir():
        found = sorted(
            path
            for path in place.iterdir()
            if path.suffix.lower() in PICTURES and path.is_file() and path.name[0] != "."
        )
        if not found:
            raise NothingToDo(f"The folder {str(place)!r} has no pictures ({', '.join(_KNOWN)}).")
        return found
    if not place.exists():
        raise FileMissing(f"There is no file or folder {str(place)!r}; check --input.")
    return [place]


_KNOWN = sorted(PICTURES)


def find_scenes(
    root: Path, given: Path | None, refs: Sequence[Path], from_manifest: Iterable[Path]
) -> list[Path]:
    """Return the scene pictures of a run, in order; `<root>/scenes` where none are named."""
    found = [] if given is None else find_pictures(given)
    found += [_resolve(root, ref) for ref in refs]
    found += list(from_manifest)
    if found:
        return list(dict.fromkeys(found))
    default = root / "scenes"
    if not default.is_dir():
        raise NothingToDo(
            f"No scene was named and there is no folder {str(default)!r}. "
            "Give --input FILE_OR_DIR or --scene-refs a,b,c."
        )
    return find_pictures(default)


def _resolve(root: Path, ref: Path) -> Path:
    """Take a scene reference as a path, else as a name in `<root>/scenes`."""
    if ref.exists():
        return ref
    scenes = root / "scenes"
    for path in [scenes / ref, *(scenes / f"{ref}{suffix}" for suffix in _KNOWN)]:
        if path.is_file():
            return path
    raise FileMissing(f"The scene reference {str(ref)!r} is neither a file nor in {str(scenes)!r}.")


def scene_names(paths: Sequence[Path]) -> dict[str, Path]:
    """Name scenes by their files' stems; the same stem twice gets its suffix too.

    Names that differ by case alone are the same: they are one file on many disks. `coast.c2` is
    what the second candidate of `coast` is called, so beside `coast` it becomes `coast-c2`.
    """
    stems = {clean_name(path.stem).casefold() for path in paths}
    named: dict[str, Path] = {}
    taken: dict[str, Path] = {}
    for path in paths:
        name = clean_name(path.stem)
        of = _CANDIDATE.fullmatch(name)
        if of is not None and of[1].casefold() in stems:
            name = f"{of[1]}-{of[2]}"
        if name.casefold() in taken:
            name = f"{name}-{path.suffix.lstrip('.').lower()}"
        if name.casefold() in taken:
            raise BadParameter(
                f"Two scenes are called {name!r} ({str(taken[name.casefold()])!r} and "
                f"{str(path)!r}); rename one of them."
            )
        named[name] = taken[name.casefold()] = path
    for name, path in named.items():
        of = _CANDIDATE.fullmatch(name)
        if of is not None and of[1].casefold() in taken:
            raise BadParameter(
                f"The scene {name!r} ({str(path)!r}) is called like a candidate of the scene "
                f"{of[1]!r} ({str(taken[of[1].casefold()])!r}); rename one of them."
            )
    return named


_CANDIDATE = re.compile(r"(.+)\.(c\d+)", re.IGNORECASE)

_RESERVED = re.compile(r"(con|prn|aux|nul|(com|lpt)[0-9¹²³]) *(\..*)?", re.IGNORECASE)
"""What Windows takes for a device, whatever follows the first dot."""

_LONGEST = 150
"""In bytes: `<scene>.<run>.c1.png` must fit into the 255 of every file system."""


def clean_name(stem: str) -> str:
    """Make a stem into a name that is safe, and the same, in every file system."""
    kept = re.sub(r"[^\w\- .()+,]", "_", unicodedata.normalize("NFC", stem)).strip(" .")
    if _RESERVED.fullmatch(kept):
        kept = f"_{kept}"
    return shortened(kept, _LONGEST).rstrip(" .") or "scene"


def given_path(folders: Folders, asset_id: str, name: str) -> Path:
    """Return where an asset that a run begins with is written out under a name for people."""
    return folders.inside(f"{PRIVATE}/given/{asset_id}/{name}")


def asset_of(path: Path) -> str | None:
    """Return the asset that a written-out file shows; None for a file of a person's own."""
    parts = path.parts
    return parts[-2] if parts[-4:-2] == (PRIVATE, "given") else None


async def load(pool: PixelPool, path: Path, what: str) -> GivenPicture:
    """Read and decode a picture once, before anything is planned with it."""
    if not path.exists():
        raise FileMissing(f"The {what} {str(path)!r} does not exist; check the path.")
    data = await asyncio.to_thread(read_file, path)
    facts = await pool.run(admit, data, str(path))
    if not facts.width_px:
        raise UnsupportedImage(f"The {what} {str(path)!r} is not a picture that can be read.")
    return GivenPicture(path, digest_of(data), len(data), facts)
