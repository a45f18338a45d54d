"""Where a project's files are, and the S3 mirror of them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from fastapi import APIRouter
from pydantic import BaseModel, Field

from maquette.api.contract import raises
from maquette.api.door import Editing, Entry, Owning, Viewing
from maquette.api.house import House, TheHouse, TheStudio
from maquette.core.bucket import Mirror
from maquette.core.errors import (
    CapabilityMissing,
    Conflict,
    ConnectionRefused,
    FileMissing,
    Forbidden,
    ProviderUnavailable,
    RequestTimedOut,
    SecretsLocked,
    ShuttingDown,
    StorageReadOnly,
    StorageUnavailable,
    UnsafePath,
)
from maquette.core.wanted import Wanted
from maquette.services import mirror, places, projects
from maquette.services.mirror import Synced
from maquette.services.places import Guard, PlaceFacts
from maquette.services.studio import unless_stopped

router = APIRouter(prefix="/api/projects/{slug}", tags=["storage"])

_MOST_ITEMS = 1000


class LocalStorage(Wanted):
    """Where the root is to be; the folder is made when it is first needed."""

    project_root: Annotated[
        str, Field(min_length=1, max_length=1000, examples=["/data/iat/eugenia_prod"])
    ]


class LocalDocument(BaseModel):
    """The root on the server's machine."""

    project_root: str | None
    exists: bool


class MirrorDocument(BaseModel):
    """The bucket that the root is mirrored to."""

    enabled: bool
    bucket: str | None
    prefix: str
    region: str
    endpoint: str | None
    path_style: bool | None
    has_keys: bool
    """Whether the keys are there: the project's secrets `s3`, or the installation's."""


class StorageDocument(BaseModel):
    """Where a project's files are."""

    local: LocalDocument
    s3: MirrorDocument | None


class SyncOrder(Wanted):
    """How to sync."""

    dry_run: bool = False
    """Only say what would be done."""
    delete: bool = False
    """Delete from the mirror what it wrote and the root has no more."""


class SyncItem(BaseModel):
    """What was done, or would be, with one file."""

    path: str
    act: Literal["uploaded", "copied", "deleted", "failed"]
    size_bytes: int
    error: str | None


class SyncDocument(BaseModel):
    """What a sync did, or would do."""

    mirror: str
    dry_run: bool
    uploaded: int
    copied: int
    """Names of stored pictures: the server copied those, and nothing was sent."""
    skipped: int
    deleted: int
    failed: int
    left: int
    """Files that were not tried any more, after too many failures."""
    bytes: int
    items: list[SyncItem]
    items_left_out: int
    """Those beyond the first thousand; failures come first."""


@router.get("/storage", summary="Say where a project's files are", responses=raises())
async def show_storage(entry: Viewing, studio: TheStudio) -> StorageDocument:
    """Return the root and the mirror, never with keys."""
    return _document(await places.show(studio, entry.project))


@router.put(
    "/storage/local",
    summary="Say where a project's root is",
    responses=raises(Conflict, Forbidden, UnsafePath, StorageUnavailable, StorageReadOnly),
)
async def set_local_storage(
    entry: Owning, house: TheHouse, wanted: LocalStorage
) -> StorageDocument:
    """Write it; the folder need not be there yet, and nothing is moved.

    Where people sign in, only an administrator may, below `MAQUETTE_SERVER__ROOTS`.
    """
    root = Path(wanted.project_root)
    found = await places.set_local(house.studio, entry.project, root, _guard(entry, house))
    return _document(found)


@router.put(
    "/storage/s3",
    summary="Say where a project is mirrored to",
    responses=raises(Forbidden),
)
async def set_s3_storage(entry: Owning, house: TheHouse, wanted: Mirror) -> StorageDocument:
    """Write it; nothing is sent. Where people sign in, only an administrator may."""
    found = await places.set_mirror(house.studio, entry.project, wanted, _guard(entry, house))
    return _document(found)


@router.post(
    "/sync-s3",
    summary="Sync a project's files to its S3 mirror",
    responses=raises(
        CapabilityMissing,
        Conflict,
        ConnectionRefused,
        FileMissing,
        ProviderUnavailable,
        RequestTimedOut,
        SecretsLocked,
        ShuttingDown,
        StorageReadOnly,
        StorageUnavailable,
        UnsafePath,
    ),
)
async def sync_s3(entry: Editing, house: TheHouse, order: SyncOrder | None = None) -> SyncDocument:
    """Send what differs. It goes on where the answer comes too late; asking again is safe.

    A server that stops gives it up; the next sync goes on where it ended.
    """
    order, studio = order or SyncOrder(), house.studio
    root = await projects.root_of(studio, entry.slug, None)
    work = mirror.sync(studio, entry.slug, root, dry_run=order.dry_run, delete=order.delete)
    work = unless_stopped(work, house.stopping)
    return _told(await studio.errands.see_through(work))


def _guard(entry: Entry, house: House) -> Guard | None:
    return Guard(entry.caller, house.rules.roots) if house.rules.multi_user else None


def _document(facts: PlaceFacts) -> StorageDocument:
    local = LocalDocument(project_root=facts.root, exists=facts.exists)
    if facts.mirror is None:
        return StorageDocument(local=local, s3=None)
    s3 = MirrorDocument(**facts.mirror.model_dump(), has_keys=facts.has_keys)
    return StorageDocument(local=local, s3=s3)


def _told(told: Synced) -> SyncDocument:
    items = sorted(told.items, key=lambda one: one.act != "failed")
    shown = [SyncItem.model_validate(vars(one)) for one in items[:_MOST_ITEMS]]
    counts = {**told.document(), "items": shown, "items_left_out": len(items) - len(shown)}
    return SyncDocument.model_validate(counts)
