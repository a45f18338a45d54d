"""Packing a project: its rows as they are at one moment, then its bytes, then what people added."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.ext.asyncio import AsyncSession

from maquette.core import archive
from maquette.core.archive import ArchivedProject, ArchiveManifest, OtherFile, table_member
from maquette.core.errors import ObjectNotFound, ProjectBusy, StorageDamaged
from maquette.core.requests import Digest
from maquette.core.storage import object_key
from maquette.db import migrate, portable, runs
from maquette.db.tables import Project
from maquette.folders import PRIVATE, RUNS, log_path, sheet_path
from maquette.jobs.workshop import Place
from maquette.services.portable import Packer, packed, scratch
from maquette.services.studio import Studio


@dataclass(frozen=True)
class _Gathered:
    """What the rows say there is to pack."""

    counts: dict[str, int]
    digests: tuple[str, ...]
    runs: tuple[str, ...]
    shown: frozenset[str]


async def refuse_busy(session: AsyncSession, project: Project) -> None:
    busy = await runs.open_in_project(session, project.id)
    if busy is not None:
        raise ProjectBusy(
            f"Run {busy} of {project.slug!r} is not finished. Wait, `maquette resume` or cancel "
            "it, then ask again."
        )


async def pack(
    studio: Studio, project: Project, root: Path, output: Path, *, all_files: bool
) -> int:
    """Write the archive; return how many objects the store did not have."""
    place = studio.shop.place(root)
    await asyncio.to_thread(place.folders.check_owner, project.id, project.slug)
    with scratch(studio.home) as folder:
        gathered = await _rows(studio, project, folder)
        sizes, missing = await _sizes(place, gathered.digests)
        logs = [name for name in _logs(gathered) if place.folders.inside(name).is_file()]
        others = (
            await asyncio.to_thread(_others, place, gathered.shown, output) if all_files else []
        )
        manifest = ArchiveManifest(
            schema_revision=migrate.HEAD,
            project=ArchivedProject(id=project.id, slug=project.slug, name=project.name),
            tables=gathered.counts,
            objects=len(sizes),
            object_bytes=sum(sizes.values()),
            missing=missing,
            runs=len(logs),
            files=len(others),
            file_bytes=sum(size for _, size in others),
        )
        with packed(output) as packer:
            packer.add(archive.MANIFEST, (manifest.model_dump_json(indent=2) + "\n").encode())
            for table in gathered.counts:
                member = table_member(table)
                await asyncio.to_thread(packer.add_file, member, folder / f"{table}.jsonl")
            packer.add(archive.NAMES, _names(others))
            for digest in sizes:
                await _add_object(packer, place, digest, sizes[digest])
            for name in logs:
                await asyncio.to_thread(packer.add_file, name, place.folders.inside(name))
            for number, (name, _) in enumerate(others, 1):
                path = place.folders.inside(name)
                await asyncio.to_thread(packer.add_file, f"files/{number:07d}", path)
    return len(missing)


async def _rows(studio: Studio, project: Project, folder: Path) -> _Gathered:
    """Write every table's rows into a folder, as they are at one moment."""
    counts: dict[str, int] = {}
    digests: set[str] = set()
    logged: list[str] = []
    shown: set[str] = set()
    async with portable.one_view(studio.shop.db) as session:
        await refuse_busy(session, project)
        for carried in portable.CARRIED:
            column = portable.DIGESTS.get(carried.name)
            counts[carried.name] = 0
            with (folder / f"{carried.name}.jsonl").open("xb") as file:
                async for row in portable.rows_of(session, carried, project.id):
                    file.write(line(row))
                    counts[carried.name] += 1
                    if column is not None and row[column] is not None:
                        digests.add(row[column])
                    if carried.name == "runs":
                        logged.append(row["id"])
                    if carried.name == "files":
                        shown.add(row["path"])
    return _Gathered(counts, tuple(sorted(digests)), tuple(sorted(logged)), frozenset(shown))


def line(document: object) -> bytes:
    """Write a document as one line, always the same way."""
    words = json.dumps(document, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    return words.encode() + b"\n"


async def _sizes(place: Place, digests: Sequence[str]) -> tuple[dict[str, int], list[str]]:
    sizes: dict[str, int] = {}
    missing: list[str] = []
    for digest in digests:
        try:
            sizes[digest] = (await place.storage.head(object_key(Digest(digest)))).size_bytes
        except ObjectNotFound:
            missing.append(digest)
    return sizes, missing


def _logs(gathered: _Gathered) -> Iterator[str]:
    for run in gathered.runs:
        yield from (name for name in (log_path(run), sheet_path(run)) if archive.is_member(name))


async def _add_object(packer: Packer, place: Place, digest: str, size_bytes: int) -> None:
    key = object_key(Digest(digest))
    path = place.storage.local_path(key)
    if path is not None:
        found = await asyncio.to_thread(packer.add_file, key, path)
    else:
        packer.begin(key, size_bytes)
        async for piece in place.storage.stream(key):
            await asyncio.to_thread(packer.feed, piece)
        found = packer.end()
    if found != digest:
        raise StorageDamaged(
            f"The stored object {key!r} is damaged, so nothing was exported. `maquette verify` "
            "lists all that are; restore them from a backup or the project's mirror."
        )


def _others(place: Place, shown: frozenset[str], output: Path) -> list[tuple[str, int]]:
    """Find the files of the root that nothing of ours made."""
    root = place.folders.root
    found: list[tuple[str, int]] = []
    for folder, below, names in os.walk(root):
        below[:] = sorted(one for one in below if not (folder == str(root) and one == PRIVATE))
        for name in sorted(names):
            path = Path(folder, name)
            relative = path.relative_to(root).as_posix()
            ours = relative in shown or (relative.startswith(f"{RUNS}/") and _is_log(relative))
            if ours or path == output or path.is_symlink() or not path.is_file():
                continue
            if name.startswith(".") and name.endswith(".part"):
                continue
            found.append((relative, path.stat().st_size))
    return found


def _is_log(relative: str) -> bool:
    return archive.is_member(relative)


def _names(others: Sequence[tuple[str, int]]) -> bytes:
    rows = [
        OtherFile(member=f"files/{number:07d}", path=name).model_dump()
        for number, (name, _) in enumerate(others, 1)
    ]
    return b"".join(line(row) for row in rows)
