"""Pages of assets by keyset, each read from one index."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Select, and_, false, func, literal, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from maquette.core.errors import AssetNotFound
from maquette.db import search
from maquette.db.tables import Asset, AssetTag, Blob, Favourite, Job

PROMPT_SHOWN = 500
"""In a list; an asset by itself shows it whole."""

Query = Select[*tuple[Any, ...]]
Place = tuple[datetime, str] | int
"""Where a page ended: when and which, or the number of a row of the index of words."""


@dataclass(frozen=True)
class Filters:
    """Which assets of a project are wanted."""

    project_id: str
    kind: str | None = None
    tags: tuple[str, ...] = ()
    """All of them."""
    liked_by: str | None = None
    provider: str | None = None
    model: str | None = None
    run: str | None = None
    job: str | None = None
    creator: str | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None
    words: tuple[str, ...] | None = None
    trashed: bool = False


@dataclass(frozen=True)
class Line:
    """An asset in a list."""

    id: str
    kind: str
    name: str
    digest: str
    job: str | None
    creator: str | None
    prompt: str
    provider: str
    model: str
    trashed_at: datetime | None
    cost_nano: int
    created_at: datetime
    media_type: str
    size_bytes: int
    width_px: int
    height_px: int
    has_alpha: bool
    run: str | None
    favourite: bool
    words_id: int | None
    tags: tuple[str, ...] = ()


async def page(
    session: AsyncSession, wanted: Filters, viewer: str | None, limit: int, after: Place | None
) -> list[Line]:
    """Return the assets that come after a place: newest first, in the trash last thrown first."""
    query = page_query(session, wanted, viewer, limit, after, recent=True)
    rows = (await session.execute(query)).all()
    if wanted.words is not None and len(rows) < limit and search.is_postgres(session):
        query = page_query(session, wanted, viewer, limit, after, recent=False)
        rows = (await session.execute(query)).all()
    lines = [Line(*row) for row in rows]
    tags = await tags_of(session, [line.id for line in lines])
    return [replace(line, tags=tags.get(line.id, ())) for line in lines]


def page_query(
    session: AsyncSession,
    wanted: Filters,
    viewer: str | None,
    limit: int,
    after: Place | None,
    *,
    recent: bool = False,
) -> Query:
    """Write the one statement of a page.

    It begins at the table that has an index in the order of the page and looks into the others row
    by row, so that no database is tempted to collect and sort a million rows.
    """
    query = _columns(viewer)
    if wanted.words is not None:
        place = after if isinstance(after, int) else None
        project = wanted.project_id
        index = search.index(session, project, wanted.words, place, recent=recent)
        query, order, rest = query.join(index.rows, index.joined), (index.key,), wanted
        query = query.where(index.found)
    else:
        query, order, rest = _begun(query, wanted)
    if isinstance(after, int):
        query = query.where(order[0] < after)
    elif after is not None:
        query = query.where(tuple_(*order) < tuple_(*(literal(one) for one in after)))
    return query.where(*_conditions(rest)).order_by(*(one.desc() for one in order)).limit(limit)


Begun = tuple[Query, tuple[ColumnElement[Any], ...], Filters]
"""A query, the order of its index, and the filters that it does not see to."""


def _begun(query: Query, wanted: Filters) -> Begun:
    project = wanted.project_id
    here = Asset.project_id == project
    by_time = (Asset.created_at.expression, Asset.id.expression)
    if wanted.trashed:
        return query.where(here), (Asset.deleted_at.expression, Asset.id.expression), wanted
    if wanted.tags:
        first, *others = wanted.tags
        tagged = and_(AssetTag.project_id == project, AssetTag.tag == first)
        query = query.join(AssetTag, AssetTag.asset_id == Asset.id).where(tagged)
        order = AssetTag.asset_at.expression, AssetTag.asset_id.expression
        return query, order, replace(wanted, tags=tuple(others))
    if wanted.liked_by is not None:
        mine = and_(Favourite.project_id == project, Favourite.user_id == wanted.liked_by)
        query = query.join(Favourite, Favourite.asset_id == Asset.id).where(mine)
        order = Favourite.asset_at.expression, Favourite.asset_id.expression
        return query, order, replace(wanted, liked_by=None)
    few = wanted.run is not None or wanted.job is not None
    # A run has few assets: with a concatenation no index of the project is used, but the jobs'.
    return query.where(Asset.project_id + "" == project if few else here), by_time, wanted


def _conditions(wanted: Filters) -> list[ColumnElement[bool]]:
    trashed = Asset.deleted_at.is_not(None) if wanted.trashed else Asset.deleted_at.is_(None)
    equal = {
        Asset.kind: wanted.kind,
        Asset.provider: wanted.provider,
        Asset.model: wanted.model,
        Asset.creator_id: wanted.creator,
        Asset.job_id: wanted.job,
    }
    found = [trashed, *(column == value for column, value in equal.items() if value is not None)]
    if wanted.run is not None:
        found.append(Asset.job_id.in_(select(Job.id).where(Job.run_id == wanted.run)))
    if wanted.created_after is not None:
        found.append(Asset.created_at >= wanted.created_after)
    if wanted.created_before is not None:
        found.append(Asset.created_at < wanted.created_before)
    found += [_tagged(tag) for tag in wanted.tags]
    if wanted.liked_by is not None:
        liked = aliased(Favourite)
        mine = liked.user_id == wanted.liked_by
        found.append(select(liked.asset_id).where(liked.asset_id == Asset.id, mine).exists())
    return found


def _tagged(tag: str) -> ColumnElement[bool]:
    also = aliased(AssetTag)
    return select(also.tag).where(also.asset_id == Asset.id, also.tag == tag).exists()


def _columns(viewer: str | None) -> Query:
    blob = and_(Blob.project_id == Asset.project_id, Blob.digest == Asset.digest)
    liked = aliased(Favourite)
    mine = false() if viewer is None else liked.user_id.is_not(None)
    query = (
        select(
            Asset.id,
            Asset.kind,
            Asset.name,
            Asset.digest,
            Asset.job_id,
            Asset.creator_id,
            func.substr(Asset.prompt, 1, PROMPT_SHOWN),
            Asset.provider,
            Asset.model,
            Asset.deleted_at,
            Asset.cost_nano,
            Asset.created_at,
            Blob.media_type,
            Blob.size_bytes,
            Blob.width_px,
            Blob.height_px,
            Blob.has_alpha,
            Job.run_id,
            mine,
            Asset.words_id,
        )
        .select_from(Asset)
        .join(Blob, blob)
        .outerjoin(Job, Job.id == Asset.job_id)
    )
    if viewer is None:
        return query
    return query.outerjoin(liked, and_(liked.user_id == viewer, liked.asset_id == Asset.id))


async def tags_of(session: AsyncSession, ids: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Return the tags of several assets, in order, in one statement."""
    found: dict[str, tuple[str, ...]] = {}
    if not ids:
        return found
    query = (
        select(AssetTag.asset_id, AssetTag.tag)
        .where(AssetTag.asset_id.in_(ids))
        .order_by(AssetTag.asset_id, AssetTag.tag)
    )
    for asset_id, tag in await session.execute(query):
        found[asset_id] = (*found.get(asset_id, ()), tag)
    return found


async def line(session: AsyncSession, project_id: str, asset_id: str, viewer: str | None) -> Line:
    """Return one asset of a project as a list has it, in the trash or not."""
    query = _columns(viewer).where(Asset.id == asset_id, Asset.project_id + "" == project_id)
    row = (await session.execute(query)).one_or_none()
    if row is None:
        raise absent(asset_id)
    tags = await tags_of(session, [asset_id])
    return replace(Line(*row), tags=tags.get(asset_id, ()))


class Bytes(NamedTuple):
    """What the bytes of an asset are."""

    digest: str
    name: str
    media_type: str


async def bytes_of(session: AsyncSession, project_id: str, asset_id: str) -> Bytes:
    query = (
        select(Asset.digest, Asset.name, Blob.media_type)
        .join(Blob, and_(Blob.project_id == Asset.project_id, Blob.digest == Asset.digest))
        .where(Asset.id == asset_id, Asset.project_id + "" == project_id)
    )
    row = (await session.execute(query)).one_or_none()
    if row is None:
        raise absent(asset_id)
    return Bytes(*row)


def absent(asset_id: str) -> AssetNotFound:
    return AssetNotFound(
        f"The project has no asset {asset_id!r}; it may have been purged. The list of assets "
        "shows what there is."
    )
