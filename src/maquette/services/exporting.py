"""One project as one file: its rows, its stored bytes, its run logs.

The rows are read as they were at one moment, into a scratch folder; then the bytes are streamed,
so that no transaction waits for a disk and nothing is ever held whole in memory.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import AsyncGenerator
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from uuid import uuid4

from maquette.core.errors import FileMissing, MaquetteError, WrongState
from maquette.db import archives, events, projects
from maquette.db.tables import Export, Project
from maquette.disk import explained
from maquette.services.packing import pack, refuse_busy
from maquette.services.portable import PIECE_BYTES
from maquette.services.studio import Studio

_STOPPED = "It was stopped before it was whole; export again."
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ExportFacts:
    """An export as it is told."""

    id: str
    project: str
    state: str
    path: str
    size_bytes: int | None
    sha256: str | None
    error_message: str | None
    created_at: datetime
    finished_at: datetime | None
    missing: int = 0
    """Objects that the store did not have; known while it is made."""


async def export(
    studio: Studio,
    slug: str,
    *,
    root: Path,
    output: Path | None = None,
    all_files: bool = False,
    by: str | None = None,
) -> ExportFacts:
    """Write an archive and return when it is whole; `output` is replaced, all or nothing."""
    begun = await begin(studio, slug, output=output, by=by)
    return await make(studio, begun.id, root=root, all_files=all_files)


async def begin(
    studio: Studio, slug: str, *, output: Path | None = None, by: str | None = None
) -> ExportFacts:
    """Note an export that is made next; a project that is being worked is refused."""
    export_id, now = str(uuid4()), studio.shop.clock.now()
    name = f"{slug}-{now:%Y%m%d-%H%M%S}-{export_id[:8]}.tar.gz"
    path = (output or studio.home / "exports" / name).expanduser().absolute()
    await recover(studio)
    async with studio.shop.db.write() as session:
        project = await projects.by_slug(session, slug)
        await refuse_busy(session, project)
        archives.new_export(
            session,
            export_id=export_id,
            project_id=project.id,
            user_id=by,
            path=str(path),
            at=now,
        )
    return await show(studio, project.id, export_id)


async def go_on(
    studio: Studio, export_id: str, *, root: Path, all_files: bool, stopping: asyncio.Event
) -> None:
    """Make an export while nobody waits for it; a server that stops gives it up."""
    work = asyncio.create_task(make(studio, export_id, root=root, all_files=all_files))
    stop = asyncio.create_task(stopping.wait())
    try:
        await asyncio.wait((work, stop), return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (work, stop):
            task.cancel()
        await asyncio.wait((work, stop))
    error = None if work.cancelled() else work.exception()
    if error is not None and not isinstance(error, MaquetteError):
        log.error("the export %s failed in an unforeseen way", export_id, exc_info=error)


async def make(
    studio: Studio, export_id: str, *, root: Path, all_files: bool = False
) -> ExportFacts:
    """Write the archive of an export that was begun, and say how it ended."""
    async with studio.shop.db.read() as session:
        row = await session.get_one(Export, export_id)
        project = await session.get_one(Project, row.project_id)
    async with studio.shop.db.alive(f"export-{export_id}"):
        try:
            path = Path(row.path)
            missing = await pack(studio, project, root, path, all_files=all_files)
            size_bytes, sha256 = await asyncio.to_thread(_facts, path)
        except BaseException as error:
            why = _STOPPED if not isinstance(error, MaquetteError) else str(error)
            await _end(studio, row, state="failed", error_message=why)
            raise
        await _end(studio, row, state="succeeded", size_bytes=size_bytes, sha256=sha256)
    return replace(await show(studio, project.id, export_id), missing=missing)


async def _end(studio: Studio, row: Export, **values: str | int | None) -> None:
    now = studio.shop.clock.now()
    async with studio.shop.db.write() as session:
        await archives.end_export(session, row.id, finished_at=now, **values)
        kind = f"export_{values['state']}"
        events.record(session, kind, project_id=row.project_id, at=now, export=row.id)


def _facts(path: Path) -> tuple[int, str]:
    with explained(path), path.open("rb") as file:
        return path.stat().st_size, hashlib.file_digest(file, "sha256").hexdigest()


async def recover(studio: Studio) -> None:
    """Call failed what a process that died left running."""
    async with studio.shop.db.read() as session:
        left = await archives.running_exports(session)
    for export_id in left:
        async with studio.shop.db.alive(f"export-{export_id}") as dead:
            if not dead:
                continue
            async with studio.shop.db.write() as session:
                await archives.end_export(
                    session,
                    export_id,
                    state="failed",
                    finished_at=studio.shop.clock.now(),
                    error_message="The process that made it ended; export again.",
                )


async def show(studio: Studio, project_id: str, export_id: str) -> ExportFacts:
    async with studio.shop.db.read() as session:
        project = await session.get_one(Project, project_id)
        return _told(project.slug, await archives.export(session, project_id, export_id))


async def listing(
    studio: Studio, project: Project, limit: int, before: str | None
) -> list[ExportFacts]:
    """Return a page of a project's exports, newest first."""
    async with studio.shop.db.read() as session:
        found = await archives.exports(session, project.id, limit, before)
    return [_told(project.slug, one) for one in found]


@dataclass(frozen=True)
class Archive:
    """A file that can be sent."""

    path: Path
    size_bytes: int
    sha256: str


async def file_of(studio: Studio, project_id: str, export_id: str) -> Archive:
    """Return the archive of an export that is whole, and still as it was made."""
    found = await show(studio, project_id, export_id)
    if found.state != "succeeded" or found.size_bytes is None or found.sha256 is None:
        raise WrongState(f"The export {export_id} is {found.state}, so it has no file to fetch.")
    path = Path(found.path)
    if not path.is_file() or path.stat().st_size != found.size_bytes:
        raise FileMissing("The archive was moved, or written over by another; export again.")
    return Archive(path, found.size_bytes, found.sha256)


async def pieces(path: Path, start: int, end: int) -> AsyncGenerator[bytes]:
    """Read a part of an archive, for whoever fetches it."""
    with explained(path), path.open("rb") as file:
        file.seek(start)
        while start < end:
            data = await asyncio.to_thread(file.read, min(PIECE_BYTES, end - start))
            if not data:  # cut short: the connection ends before the promised length
                return
            start += len(data)
            yield data


async def delete(studio: Studio, project_id: str, export_id: str) -> None:
    """Delete an export, and its archive where that lies among ours and is no other export's."""
    found = await show(studio, project_id, export_id)
    if found.state == "running":
        raise WrongState(f"The export {export_id} is still being made; delete it when it is done.")
    path = Path(found.path)
    async with studio.shop.db.read() as session:
        shared = await archives.named_by_another(session, export_id, found.path)
    with explained(path):
        ours = await asyncio.to_thread(_is_below, path, studio.home / "exports")
        if ours and not shared:
            await asyncio.to_thread(path.unlink, missing_ok=True)
    async with studio.shop.db.write() as session:
        await session.delete(await archives.export(session, project_id, export_id))


def _is_below(path: Path, folder: Path) -> bool:
    return path.resolve().is_relative_to(folder.resolve())


def _told(slug: str, row: Export) -> ExportFacts:
    return ExportFacts(
        row.id,
        slug,
        row.state,
        row.path,
        row.size_bytes,
        row.sha256,
        row.error_message,
        row.created_at,
        row.finished_at,
    )
