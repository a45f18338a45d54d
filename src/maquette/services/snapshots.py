"""Snapshots: a project's rows as they once were, kept as one object of its store.

Restoring shows the files of a snapshot under their names again. Rows are not rolled back: runs,
money and history stay as they are, and what stood under a name is archived.
"""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from io import BytesIO
from pathlib import Path
from typing import IO, Any, Literal, cast
from uuid import uuid4

from isal.igzip import IGzipFile

from maquette.core import archive
from maquette.core.errors import AlreadyExists, ObjectNotFound, StorageDamaged
from maquette.core.requests import Digest, digest_of
from maquette.core.storage import object_key
from maquette.db import archives, assets, events, portable, projects
from maquette.db.tables import Project, Snapshot
from maquette.folders import Placed
from maquette.jobs.workshop import Place
from maquette.services.arrived import is_plain
from maquette.services.packing import line, refuse_busy
from maquette.services.portable import scratch
from maquette.services.studio import Studio

_FORMAT = "maquette-snapshot"
_VERSION = 1
_LONGEST_HEAD_BYTES = 1024


@dataclass(frozen=True)
class SnapshotFacts:
    """A snapshot as it is told."""

    id: str
    project: str
    name: str
    sha256: str
    size_bytes: int
    counts: dict[str, int]
    """Rows by table."""
    created_at: datetime


@dataclass(frozen=True)
class Restored:
    """What became of one name."""

    path: str
    state: Literal["same", "shown", "gone"]
    """`gone`: its bytes, or its asset, were deleted since."""
    replaced: str | None = None
    """Where the file went that had the name."""


async def create(
    studio: Studio, slug: str, name: str, *, root: Path, by: str | None = None
) -> SnapshotFacts:
    """Keep the rows as they are at this moment."""
    place = studio.shop.place(root)
    async with studio.shop.db.read() as session:
        project = await projects.by_slug(session, slug)
        if await archives.snapshot_named(session, project.id, name):
            raise AlreadyExists(f"There is a snapshot {name!r} already; choose another name.")
    await asyncio.to_thread(place.folders.prepare)
    await asyncio.to_thread(place.folders.claim, project.id, slug)
    with scratch(studio.home) as folder:
        path = folder / "snapshot.jsonl.gz"
        counts = await _write(studio, project, path)
        size_bytes, digest = await asyncio.to_thread(_facts, path)
        await place.storage.put_file(object_key(Digest(digest)), path)
    row = Snapshot(
        id=str(uuid4()),
        project_id=project.id,
        user_id=by,
        name=name,
        digest=digest,
        size_bytes=size_bytes,
        counts=counts,
        created_at=studio.shop.clock.now(),
    )
    async with studio.shop.db.write() as session:
        session.add(row)
        at, kept = row.created_at, row.id
        events.record(session, "snapshot_made", project_id=project.id, at=at, snapshot=kept)
    return _told(slug, row)


async def _write(studio: Studio, project: Project, path: Path) -> dict[str, int]:
    counts: dict[str, int] = {}
    with path.open("xb") as file:
        packed = cast("IO[bytes]", IGzipFile("", "wb", 2, cast("Any", file), 0))
        packed.write(line({"format": _FORMAT, "version": _VERSION}))
        async with portable.one_view(studio.shop.db) as session:
            for carried in portable.CARRIED:
                counts[carried.name] = 0
                async for row in portable.rows_of(session, carried, project.id):
                    packed.write(line({"table": carried.name, "row": row}))
                    counts[carried.name] += 1
        packed.close()
    return counts


def _facts(path: Path) -> tuple[int, str]:
    with path.open("rb") as file:
        return path.stat().st_size, hashlib.file_digest(file, "sha256").hexdigest()


async def listing(studio: Studio, slug: str, limit: int, before: str | None) -> list[SnapshotFacts]:
    """Return a page of a project's snapshots, newest first."""
    async with studio.shop.db.read() as session:
        project = await projects.by_slug(session, slug)
        found = await archives.snapshots(session, project.id, limit, before)
    return [_told(slug, one) for one in found]


async def show(studio: Studio, slug: str, wanted: str) -> SnapshotFacts:
    """Find one by its id, the beginning of it, or its name."""
    async with studio.shop.db.read() as session:
        project = await projects.by_slug(session, slug)
        return _told(slug, await archives.snapshot(session, project.id, wanted))


async def delete(studio: Studio, slug: str, wanted: str) -> SnapshotFacts:
    """Forget a snapshot; `gc` then takes its bytes."""
    async with studio.shop.db.write() as session:
        project = await projects.by_slug(session, slug)
        row = await archives.snapshot(session, project.id, wanted)
        facts = _told(slug, row)
        await session.delete(row)
    return facts


def _told(slug: str, row: Snapshot) -> SnapshotFacts:
    counts = {str(name): int(value) for name, value in row.counts.items()}
    return SnapshotFacts(row.id, slug, row.name, row.digest, row.size_bytes, counts, row.created_at)


async def restore(studio: Studio, slug: str, wanted: str, *, root: Path) -> list[Restored]:
    """Show the files of a snapshot under their names again; other files are left as they are."""
    place = studio.shop.place(root)
    async with studio.shop.db.read() as session:
        project = await projects.by_slug(session, slug)
        await refuse_busy(session, project)
        row = await archives.snapshot(session, project.id, wanted)
    await asyncio.to_thread(place.folders.prepare)
    await asyncio.to_thread(place.folders.claim, project.id, slug)
    key = object_key(Digest(row.digest))
    data = await place.storage.read(key)
    if digest_of(data) != row.digest:
        raise StorageDamaged(
            f"The snapshot {row.name!r} is damaged; restore {key!r} from a backup or the mirror."
        )
    found = await asyncio.to_thread(_files, data)
    return [await _restore(studio, place, project, *one) for one in found]


def _files(data: bytes) -> list[tuple[str, str, str]]:
    """Read (path, asset, digest) of every name of a snapshot."""
    digests: dict[str, str] = {}
    found: list[tuple[str, str, str]] = []
    try:
        for table, row in _rows(data):
            if table == "assets":
                digests[row["id"]] = row["digest"]
            elif table == "files":
                found.append((row["path"], row["asset_id"], digests[row["asset_id"]]))
    except (OSError, EOFError, zlib.error, ValueError, LookupError, TypeError):
        raise _unreadable() from None
    if not all(is_plain(path) for path, _, _ in found):  # it may have come in an archive
        raise _unreadable()
    return found


def _rows(data: bytes) -> Iterator[tuple[str, dict[str, Any]]]:
    left = archive.FREE_PART_BYTES + archive.MOST_UNPACKED_TO_PACKED * len(data)
    with gzip.open(BytesIO(data)) as file:
        told = json.loads(file.readline(_LONGEST_HEAD_BYTES))
        if told["format"] != _FORMAT or told["version"] > _VERSION:
            raise ValueError("it is of another kind, or of a newer Maquette")
        while text := file.readline(min(left, archive.LONGEST_LINE_BYTES)):
            left -= len(text)
            document: dict[str, Any] = json.loads(text)
            yield document["table"], document["row"]


def _unreadable() -> StorageDamaged:
    return StorageDamaged(
        "The snapshot cannot be read; nothing was changed. Was it made by a newer Maquette? "
        "Otherwise restore its object from a backup or the mirror: `maquette verify` names it."
    )


async def _restore(
    studio: Studio, place: Place, project: Project, path: str, asset_id: str, digest: str
) -> Restored:
    async with studio.shop.db.read() as session:
        known = await archives.asset_with(session, project.id, asset_id, digest)
        before = await assets.file_at(session, project.id, path)
    key = object_key(Digest(digest))
    try:
        await place.storage.head(key)
        source = place.storage.local_path(key) or await place.storage.read(key)
    except ObjectNotFound:
        return Restored(path, "gone")
    if known is None:
        return Restored(path, "gone")
    placed = await asyncio.to_thread(_place, studio, place, source, path)
    if placed is None:
        return Restored(path, "same")
    async with studio.shop.db.write() as session:
        now = studio.shop.clock.now()
        if placed.replaced is not None and before is not None:
            await assets.show_at(session, project.id, placed.replaced, before.asset_id, now)
        await assets.show_at(session, project.id, path, known, now)
    return Restored(path, "shown", placed.replaced)


def _place(studio: Studio, place: Place, source: Path | bytes, path: str) -> Placed | None:
    """Show bytes under a name; None where it shows them already."""
    target = place.folders.inside(path)
    before = target.stat().st_ino if target.is_file() else None
    placed = place.folders.place(source, path, archive_replaced=True, at=studio.shop.clock.now())
    same = before is not None and placed.replaced is None and target.stat().st_ino == before
    return None if same else placed
