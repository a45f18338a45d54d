"""The library: assets listed, searched, shown with their families."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, Field

from maquette.api.contract import raises
from maquette.api.dates import Moment
from maquette.api.door import Entry, Viewing
from maquette.api.house import TheStudio
from maquette.core import errors as e
from maquette.core import money
from maquette.db.library import Filters, Line
from maquette.services import library
from maquette.services.thumbs import SIDES

router = APIRouter(prefix="/api/projects/{slug}/assets", tags=["assets"])

AssetId = Annotated[str, Path(pattern=r"^[0-9A-Za-z-]{1,36}$", description="An asset's id.")]
Word = Annotated[str | None, Query(min_length=1, max_length=120)]


Tag = Annotated[str, Field(min_length=1, max_length=64)]


class AssetDocument(BaseModel):
    """A picture in a list."""

    id: str
    kind: str
    name: str
    media_type: str
    width: int
    height: int
    has_alpha: bool
    size_bytes: int
    sha256: str
    created_at: datetime
    trashed_at: datetime | None
    cost_usd: str
    prompt: str
    """Its beginning; the asset by itself has the whole."""
    provider: str
    model: str
    run: str | None
    job: str | None
    creator: str | None
    tags: list[str]
    favourite: bool
    """The caller's own."""
    file_url: str
    thumbnails: dict[str, str]
    """By the longer side, as WebP; `format=avif` at the same address gives AVIF."""


class AssetPage(BaseModel):
    """A page of assets, newest first; in the trash, what was thrown away last."""

    items: list[AssetDocument]
    next: str | None = None
    """The cursor of the page after this one; null at the end."""


class RelationDocument(BaseModel):
    """A picture that this one was made from, or that was made from it."""

    id: str
    kind: str
    name: str
    role: str
    trashed: bool


class ConsentDocument(BaseModel):
    """What a person declared of the picture."""

    user: str | None
    words: str
    at: datetime


class AssetDetail(AssetDocument):
    """A picture with all that is known of it."""

    made_by: dict[str, Any]
    """The request as it was really sent, or the operation with its parameters and report."""
    files: list[str]
    """Its names in the project's folders."""
    parents: list[RelationDocument]
    children: list[RelationDocument]
    """The first 200; `lineage` has the whole tree."""
    consents: list[ConsentDocument]


class FamilyMember(BaseModel):
    """A picture of a tree."""

    id: str
    kind: str
    name: str
    width: int
    height: int
    trashed: bool
    created_at: datetime
    thumbnails: dict[str, str]


class FamilyTie(BaseModel):
    """A child was made from a parent."""

    child: str
    parent: str
    role: str


class FamilyDocument(BaseModel):
    """A tree, flat."""

    nodes: list[FamilyMember]
    """Nearest first; the asset itself is the first."""
    edges: list[FamilyTie]
    truncated: bool
    """There is more than `limit`."""


def _members(slug: str, one: Line, prompt: str | None = None) -> dict[str, Any]:
    return {
        "id": one.id,
        "kind": one.kind,
        "name": one.name,
        "media_type": one.media_type,
        "width": one.width_px,
        "height": one.height_px,
        "has_alpha": one.has_alpha,
        "size_bytes": one.size_bytes,
        "sha256": one.digest,
        "created_at": one.created_at,
        "trashed_at": one.trashed_at,
        "cost_usd": str(money.from_nano(one.cost_nano)),
        "prompt": one.prompt if prompt is None else prompt,
        "provider": one.provider,
        "model": one.model,
        "run": one.run,
        "job": one.job,
        "creator": one.creator,
        "tags": list(one.tags),
        "favourite": one.favourite,
        "file_url": f"/api/projects/{slug}/assets/{one.id}/file",
        "thumbnails": _thumbnails(slug, one.id),
    }


def _thumbnails(slug: str, asset_id: str) -> dict[str, str]:
    where = f"/api/projects/{slug}/assets/{asset_id}/thumbnail?side="
    return {str(side): f"{where}{side}" for side in SIDES}


def _relations(found: Sequence[library.Relation]) -> list[RelationDocument]:
    return [
        RelationDocument(
            id=one.id,
            kind=one.kind,
            name=one.name,
            role=one.role,
            trashed=one.trashed_at is not None,
        )
        for one in found
    ]


def _utc(moment: datetime | None) -> datetime | None:
    if moment is None or moment.tzinfo is None:
        return moment and moment.replace(tzinfo=UTC)
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise e.BadParameter(
            f"{moment.isoformat()} is no time that UTC has; give a date of this age."
        ) from None


@router.get("", summary="List and search assets")
async def list_assets(
    entry: Viewing,
    studio: TheStudio,
    *,
    q: Annotated[
        str | None,
        Query(max_length=200, description="Words of the prompt or name; the last as a beginning."),
    ] = None,
    kind: Word = None,
    tag: Annotated[list[Tag], Query(max_length=8, description="All of them.")] = [],  # noqa: B006 - FastAPI copies it
    favourite: Annotated[bool, Query(description="Only the caller's favourites.")] = False,
    provider: Word = None,
    model: Word = None,
    run: Word = None,
    job: Word = None,
    creator: Word = None,
    created_after: Moment = None,
    created_before: Moment = None,
    trashed: Annotated[bool, Query(description="What lies in the trash instead.")] = False,
    limit: Annotated[int, Query(ge=1, le=200)] = 60,
    cursor: Annotated[
        str | None, Query(max_length=80, description="The `next` of the page before.")
    ] = None,
) -> AssetPage:
    """Return a page of the project's assets that all the filters let through."""
    wanted = Filters(
        entry.project.id,
        kind=kind,
        tags=tuple(tag),
        liked_by=entry.caller.user_id if favourite else None,
        provider=provider,
        model=model,
        run=run,
        job=job,
        creator=creator,
        created_after=_utc(created_after),
        created_before=_utc(created_before),
        trashed=trashed,
    )
    found = await library.page(
        studio, wanted, text=q, viewer=entry.caller.user_id, limit=limit, cursor=cursor
    )
    items = [AssetDocument(**_members(entry.slug, one)) for one in found.items]
    return AssetPage(items=items, next=found.next)


async def shown(entry: Entry, studio: TheStudio, asset_id: str) -> AssetDetail:
    """Describe an asset with all that is known of it."""
    found = await library.show(studio, entry.project.id, asset_id, entry.caller.user_id)
    return AssetDetail(
        **_members(entry.slug, found.line, found.prompt),
        made_by=found.made_by,
        files=list(found.files),
        parents=_relations(found.parents),
        children=_relations(found.children),
        consents=[ConsentDocument(**one._asdict()) for one in found.consents],
    )


@router.get("/{asset_id}", summary="Show an asset", responses=raises(e.AssetNotFound))
async def show_asset(entry: Viewing, studio: TheStudio, asset_id: AssetId) -> AssetDetail:
    """Return an asset with all that made it; also one in the trash."""
    return await shown(entry, studio, asset_id)


@router.get(
    "/{asset_id}/lineage", summary="Show an asset's family", responses=raises(e.AssetNotFound)
)
async def asset_lineage(
    entry: Viewing,
    studio: TheStudio,
    asset_id: AssetId,
    direction: Literal["up", "down", "both"] = "both",
    limit: Annotated[int, Query(ge=1, le=2000)] = 500,
) -> FamilyDocument:
    """Return what it was made from (up) and what was made from it (down), over the whole tree."""
    found = await library.family(studio, entry.project.id, asset_id, direction, limit)
    nodes = [
        FamilyMember(
            id=one.id,
            kind=one.kind,
            name=one.name,
            width=one.width_px,
            height=one.height_px,
            trashed=one.trashed_at is not None,
            created_at=one.created_at,
            thumbnails=_thumbnails(entry.slug, one.id),
        )
        for one in found.nodes
    ]
    edges = [FamilyTie(**one._asdict()) for one in found.edges]
    return FamilyDocument(nodes=nodes, edges=edges, truncated=not found.whole)
