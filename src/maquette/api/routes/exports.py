"""Projects as archives: made in the background, fetched, taken in; and projects deleted."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from pydantic import BaseModel, Field
from starlette.responses import StreamingResponse

from maquette.api import multipart
from maquette.api.contract import raises
from maquette.api.door import Creator, Editing, Owning, Viewing
from maquette.api.files import Range, attachment, span
from maquette.api.house import TheHouse, TheStudio
from maquette.core import errors as e
from maquette.core.wanted import Wanted
from maquette.services import deleting, exporting, importing, projects
from maquette.services.exporting import ExportFacts

router = APIRouter(prefix="/api/projects", tags=["exports"])

_MEDIA_TYPE = "application/gzip"
_BYTES: dict[str, Any] = {_MEDIA_TYPE: {"schema": {"type": "string", "format": "binary"}}}
_FILE: dict[int | str, dict[str, Any]] = {
    200: {"description": "The archive.", "content": _BYTES},
    206: {"description": "The part that was asked for.", "content": _BYTES},
}
_BODY: dict[str, Any] = {"requestBody": {"required": True, "content": _BYTES}}
_DISK = (e.StorageUnavailable, e.StorageFull)

ExportId = Annotated[str, Path(max_length=36, pattern=r"^[0-9a-f-]*$")]
_tasks: set[asyncio.Task[None]] = set()
"""Referred to from here, or the loop may forget them."""


class NewExport(Wanted):
    """What an archive is to hold besides the project itself."""

    all_files: bool = False
    """Also the files of the root that Maquette did not make."""


class ExportDocument(BaseModel):
    """An archive that was made, is being made, or failed."""

    id: str
    project: str
    state: Annotated[str, Field(examples=["running", "succeeded", "failed"])]
    size_bytes: int | None
    sha256: str | None
    file: str | None
    """Where the archive is fetched, once it is whole."""
    error: str | None
    created_at: datetime
    finished_at: datetime | None


class ExportPage(BaseModel):
    """A page of exports, newest first."""

    items: list[ExportDocument]
    next: str | None = None
    """The cursor of the page after this one; null at the end."""


class ImportedDocument(BaseModel):
    """A project that was taken in."""

    slug: str
    name: str
    runs: int
    assets: int
    objects: int
    files: int
    missing: int
    """Stored pictures that were missing where it came from."""


class DeletedDocument(BaseModel):
    """A project that is gone."""

    slug: str
    deleted: bool = True
    project_root: str | None
    """Where its files were, and are if nobody moved them."""
    moved_to: str | None


def _document(facts: ExportFacts) -> ExportDocument:
    there = facts.state == "succeeded"
    return ExportDocument(
        id=facts.id,
        project=facts.project,
        state=facts.state,
        size_bytes=facts.size_bytes,
        sha256=facts.sha256,
        file=f"/api/projects/{facts.project}/exports/{facts.id}/file" if there else None,
        error=facts.error_message,
        created_at=facts.created_at,
        finished_at=facts.finished_at,
    )


@router.post(
    "/{slug}/export",
    status_code=202,
    summary="Export a project",
    responses=raises(e.ProjectBusy, *_DISK),
)
async def export_project(
    entry: Editing, house: TheHouse, wanted: NewExport | None = None
) -> ExportDocument:
    """Begin an archive of the project; it is made in the background."""
    root = await projects.root_of(house.studio, entry.slug, None)
    begun = await exporting.begin(house.studio, entry.slug, by=entry.caller.user_id)
    work = exporting.go_on(
        house.studio,
        begun.id,
        root=root,
        all_files=wanted is not None and wanted.all_files,
        stopping=house.stopping,
    )
    task = asyncio.create_task(house.studio.errands.see_through(work))
    _tasks.add(task)
    task.add_done_callback(_tasks.discard)
    return _document(begun)


@router.get("/{slug}/exports", summary="List exports", responses=raises(e.ExportNotFound))
async def list_exports(
    entry: Viewing,
    studio: TheStudio,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    before: Annotated[
        str | None,
        Query(max_length=36, pattern=r"^[0-9a-f-]*$", description="The `next` of the page before."),
    ] = None,
) -> ExportPage:
    """Return a page of the project's exports, newest first."""
    found = await exporting.listing(studio, entry.project, limit, before)
    items = [_document(one) for one in found]
    return ExportPage(items=items, next=items[-1].id if len(items) == limit else None)


@router.get(
    "/{slug}/exports/{export_id}", summary="Show an export", responses=raises(e.ExportNotFound)
)
async def show_export(entry: Viewing, studio: TheStudio, export_id: ExportId) -> ExportDocument:
    """Return one export with its state."""
    return _document(await exporting.show(studio, entry.project.id, export_id))


@router.get(
    "/{slug}/exports/{export_id}/file",
    summary="Fetch an archive",
    response_class=StreamingResponse,
    responses=_FILE | raises(e.ExportNotFound, e.WrongState, e.FileMissing, e.RangeOutside, *_DISK),
)
async def fetch_export(
    entry: Viewing,
    studio: TheStudio,
    export_id: ExportId,
    range: Range = None,  # noqa: A002 - the header's name
) -> StreamingResponse:
    """Send the archive, or a part of it, so that an interrupted download goes on."""
    found = await exporting.file_of(studio, entry.project.id, export_id)
    start, end, status = 0, found.size_bytes, 200
    headers = {
        "Accept-Ranges": "bytes",
        "ETag": f'"{found.sha256}"',
        "Content-Disposition": attachment(found.path.name),
    }
    part = None if range is None else span(range, found.size_bytes)
    if part is not None:
        (start, end), status = part, 206
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{found.size_bytes}"
    headers["Content-Length"] = str(end - start)
    pieces = exporting.pieces(found.path, start, end)
    return StreamingResponse(pieces, status, headers, media_type=_MEDIA_TYPE)


@router.delete(
    "/{slug}/exports/{export_id}",
    status_code=204,
    summary="Delete an export",
    responses=raises(e.ExportNotFound, e.WrongState, *_DISK),
)
async def delete_export(entry: Editing, studio: TheStudio, export_id: ExportId) -> None:
    """Delete an export, and its archive where the server named it."""
    await exporting.delete(studio, entry.project.id, export_id)


@router.post(
    "/import",
    status_code=201,
    summary="Import a project",
    openapi_extra=_BODY,
    responses=raises(
        e.ArchiveDamaged,
        e.AlreadyExists,
        e.Conflict,
        e.UnsafePath,
        e.QuotaExceeded,
        e.RequestTooLarge,
        e.RequestTimedOut,
        e.TooManyRequests,
        *_DISK,
    ),
)
async def import_project(
    caller: Creator,
    house: TheHouse,
    request: Request,
    slug: Annotated[
        str | None,
        Query(
            alias="as",
            pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$",
            description="Import a copy under this slug, with ids of its own.",
        ),
    ] = None,
) -> ImportedDocument:
    """Take in an archive that is the body; a damaged one is refused whole."""
    async with multipart.slot(house):
        made = await importing.import_stream(
            house.studio,
            multipart.pieces(request, house),
            most_bytes=house.rules.archive_bytes,
            slug=slug,
            by=caller,
        )
    return ImportedDocument(
        slug=made.project.slug,
        name=made.project.name,
        runs=made.project.runs,
        assets=made.project.assets,
        objects=made.objects,
        files=made.files,
        missing=made.missing,
    )


@router.delete(
    "/{slug}",
    summary="Delete a project",
    responses=raises(e.ProjectBusy, e.WrongState, e.Conflict, *_DISK),
)
async def delete_project(
    entry: Owning,
    studio: TheStudio,
    files: Annotated[bool, Query(description="Also put its root aside, beside itself.")] = False,  # noqa: FBT002 - a query's flag
) -> DeletedDocument:
    """Delete a project's rows and secrets; its files stay unless `files` says otherwise."""
    gone = await deleting.delete(studio, entry.slug, files=files)
    return DeletedDocument(slug=gone.slug, project_root=gone.root, moved_to=gone.moved_to)
