"""Snapshots of projects."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, Field

from maquette.api.contract import raises
from maquette.api.door import Editing, Viewing
from maquette.api.house import TheStudio
from maquette.core import errors as e
from maquette.core.wanted import Wanted
from maquette.services import projects, snapshots
from maquette.services.snapshots import SnapshotFacts

router = APIRouter(prefix="/api/projects/{slug}/snapshots", tags=["snapshots"])

_DISK = (e.Conflict, e.StorageUnavailable, e.StorageFull)
SnapshotId = Annotated[str, Path(min_length=36, max_length=36, pattern=r"^[0-9a-f-]*$")]


class NewSnapshot(Wanted):
    """What a snapshot is to be called."""

    name: Annotated[str, Field(min_length=1, max_length=120, pattern=r"^[^\x00-\x1f\x7f]+$")]


class SnapshotDocument(BaseModel):
    """A project's rows as they once were."""

    id: str
    name: str
    sha256: str
    size_bytes: int
    counts: dict[str, int]
    """Rows by table."""
    created_at: datetime


class SnapshotPage(BaseModel):
    """A page of snapshots, newest first."""

    items: list[SnapshotDocument]
    next: str | None = None
    """The cursor of the page after this one; null at the end."""


class RestoredName(BaseModel):
    """What became of one name in the project's folders."""

    path: str
    state: Literal["same", "shown", "gone"]
    """`gone`: the picture was deleted since."""
    replaced: str | None
    """Where the file went that had the name."""


def _document(facts: SnapshotFacts) -> SnapshotDocument:
    return SnapshotDocument(
        id=facts.id,
        name=facts.name,
        sha256=facts.sha256,
        size_bytes=facts.size_bytes,
        counts=facts.counts,
        created_at=facts.created_at,
    )


@router.post(
    "",
    status_code=201,
    summary="Make a snapshot",
    responses=raises(e.AlreadyExists, e.UnsafePath, *_DISK),
)
async def create_snapshot(
    entry: Editing, studio: TheStudio, wanted: NewSnapshot
) -> SnapshotDocument:
    """Keep the project's rows as they are at this moment."""
    root = await projects.root_of(studio, entry.slug, None)
    made = await snapshots.create(
        studio, entry.slug, wanted.name, root=root, by=entry.caller.user_id
    )
    return _document(made)


@router.get("", summary="List snapshots", responses=raises(e.SnapshotNotFound))
async def list_snapshots(
    entry: Viewing,
    studio: TheStudio,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    before: Annotated[
        str | None,
        Query(
            min_length=36,
            max_length=36,
            pattern=r"^[0-9a-f-]*$",
            description="The `next` of the page before.",
        ),
    ] = None,
) -> SnapshotPage:
    """Return a page of the project's snapshots, newest first."""
    found = await snapshots.listing(studio, entry.slug, limit, before)
    items = [_document(one) for one in found]
    return SnapshotPage(items=items, next=items[-1].id if len(items) == limit else None)


@router.get("/{snapshot_id}", summary="Show a snapshot", responses=raises(e.SnapshotNotFound))
async def show_snapshot(
    entry: Viewing, studio: TheStudio, snapshot_id: SnapshotId
) -> SnapshotDocument:
    """Return one snapshot with its counts."""
    return _document(await snapshots.show(studio, entry.slug, snapshot_id))


@router.delete(
    "/{snapshot_id}",
    status_code=204,
    summary="Delete a snapshot",
    responses=raises(e.SnapshotNotFound),
)
async def delete_snapshot(entry: Editing, studio: TheStudio, snapshot_id: SnapshotId) -> None:
    """Forget a snapshot; the next sweep takes its bytes."""
    await snapshots.delete(studio, entry.slug, snapshot_id)


@router.post(
    "/{snapshot_id}/restore",
    summary="Show the files of a snapshot again",
    responses=raises(
        e.SnapshotNotFound, e.ProjectBusy, e.ObjectNotFound, e.UnsafePath, e.StorageDamaged, *_DISK
    ),
)
async def restore_snapshot(
    entry: Editing, studio: TheStudio, snapshot_id: SnapshotId
) -> list[RestoredName]:
    """Show its pictures under their names; rows are not rolled back, nothing is overwritten."""
    root = await projects.root_of(studio, entry.slug, None)
    found = await snapshots.restore(studio, entry.slug, snapshot_id, root=root)
    return [RestoredName(path=one.path, state=one.state, replaced=one.replaced) for one in found]
