"""The pictures a run begins with: found, read, checked and named."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from maquette.core.errors import BadParameter, FileMissing, NothingToDo, UnsupportedImage
from maquette.core.requests import Input, digest_of
from maquette.imaging.files import read_file
from maquette.jobs.pixelwork import Facts, admit
from maquette.jobs.workers import PixelPool

PICTURES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".avif", ".tif", ".tiff", ".bmp", ".gif"})


@dataclass(frozen=True)
class GivenPicture:
    """A readable picture file, with its bytes."""

    path: Path
    data: bytes
    facts: Facts

    def as_input(self, role: str) -> Input:
        return Input.model_validate(
            {
                "role": role,
                "digest": digest_of(self.data),
                "name": self.path.name,
                "media_type": self.facts.media_type,
                "width_px": self.facts.width_px,
                "height_px": self.facts.height_px,
                "size_bytes": len(self.data),
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
    """Name scenes by their files' stems; the same stem twice gets its suffix too."""
    named: dict[str, Path] = {}
    for path in paths:
        name = clean_name(path.stem)
        if name in named:
            name = f"{name}-{path.suffix.lstrip('.').lower()}"
        if name in named:
            raise BadParameter(
                f"Two scenes are called {name!r} ({named[name]} and {path}); rename one of them."
            )
        named[name] = path
    return named


def clean_name(stem: str) -> str:
    """Make a stem into a name that is safe in every file system."""
    kept = re.sub(r"[^\w\- .()+,]", "_", stem, flags=re.UNICODE).strip(" .")[:120]
    return kept or "scene"


async def load(pool: PixelPool, path: Path, what: str) -> GivenPicture:
    """Read and decode a picture once, before anything is planned with it."""
    if not path.exists():
        raise FileMissing(f"The {what} {str(path)!r} does not exist; check the path.")
    data = await asyncio.to_thread(read_file, path)
    facts = await pool.run(admit, data, str(path))
    if not facts.width_px:
        raise UnsupportedImage(f"The {what} {str(path)!r} is not a picture that can be read.")
    return GivenPicture(path, data, facts)
