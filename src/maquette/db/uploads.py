"""Uploads: how much they hold, how far they are, and what they become."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import uuid4

from sqlalchemy import Select, delete, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from maquette.core.errors import UploadNotFound
from maquette.db import assets, marks
from maquette.db.assets import NewAsset
from maquette.db.tables import Asset, AssetTag, Blob, Consent, Project, Upload, User


@dataclass(frozen=True)
class Room:
    """How many bytes still fit; None: no ceiling."""

    project: int | None
    person: int | None


async def room(session: AsyncSession, project_id: str, user_id: str, *, lock: bool = False) -> Room:
    """Say how much more fits under the quotas; `lock` lets nobody else fill it until the commit."""
    project = select(Project.quota_bytes).where(Project.id == project_id)
    person = select(User.quota_bytes).where(User.id == user_id)
    if lock:
        project, person = (
            project.with_for_update(key_share=True),
            person.with_for_update(key_share=True),
        )
    most = (await session.execute(project)).scalar_one()
    own = (await session.execute(person)).scalar_one()
    return Room(
        None if most is None else most - await _sum(session, _in_project(project_id)),
        None if own is None else own - await _sum(session, _of_person(user_id)),
    )


def _in_project(project_id: str) -> Select[int]:
    return select(Blob.size_bytes).where(Blob.project_id == project_id)


async def arrived(session: AsyncSession, project_id: str, user_id: str) -> int:
    """Return how many bytes of a person's uploads are in a project that was just taken in."""
    return await _sum(session, _of_person(user_id).where(Blob.project_id == project_id))


def _of_person(user_id: str) -> Select[int]:
    """Return the sizes of what a person uploaded, each content once for each project."""
    own = (
        select(Asset.project_id, Asset.digest)
        .where(Asset.creator_id == user_id, Asset.job_id.is_(None))
        .distinct()
        .subquery()
    )
    same = (Blob.project_id == own.c.project_id) & (Blob.digest == own.c.digest)
    return select(Blob.size_bytes).join(own, same)


async def _sum(session: AsyncSession, sizes: Select[int]) -> int:
    found = sizes.subquery()
    total = await session.execute(select(func.coalesce(func.sum(found.c.size_bytes), 0)))
    return int(total.scalar_one())


async def promised(session: AsyncSession, user_id: str, at: datetime) -> tuple[int, int]:
    """Return how many uploads of a person are unfinished, and what they will hold."""
    query = select(func.count(), func.coalesce(func.sum(Upload.size_bytes), 0)).where(
        Upload.user_id == user_id, Upload.asset_id.is_(None), Upload.expires_at > at
    )
    number, size_bytes = (await session.execute(query)).one()
    return number, int(size_bytes)


async def known(
    session: AsyncSession, project_id: str, user_id: str, digest: str
) -> tuple[bool, bool, str | None]:
    """Say whether the project, and the person's uploads, hold these bytes; and the first asset."""
    blob = await session.get(Blob, (project_id, digest))
    same = select(
        Asset.id, Asset.creator_id, Asset.job_id, Asset.deleted_at, Asset.created_at
    ).where(Asset.project_id == project_id, Asset.digest == digest)
    # Sorted here: asked to sort, SQLite reads the whole project in order instead of the few rows.
    rows = sorted(await session.execute(same), key=lambda row: (row.created_at, row.id))
    own = any(row.creator_id == user_id and row.job_id is None for row in rows)
    first = next((row.id for row in rows if row.deleted_at is None), None)
    return blob is not None, own, first


@dataclass(frozen=True)
class Told:
    """What a person said of a picture."""

    user_id: str
    consent: str | None
    tags: Sequence[str]


async def add(
    session: AsyncSession, project_id: str, new: NewAsset, told: Told, at: datetime
) -> None:
    """Add an asset that a person uploaded, with what they declared and the words they put on it."""
    await assets.add(session, project_id, new, at)
    if told.consent is not None:
        session.add(
            Consent(
                id=str(uuid4()),
                user_id=told.user_id,
                project_id=project_id,
                asset_id=new.id,
                words=told.consent,
                at=at,
            )
        )
    session.add_all(
        AssetTag(asset_id=new.id, tag=tag, project_id=project_id, asset_at=at)
        for tag in dict.fromkeys(marks.tag_of(one) for one in told.tags)
    )
    await session.flush()


async def get(session: AsyncSession, upload_id: str, project_id: str, user_id: str) -> Upload:
    """Return a person's own upload."""
    found = await session.get(Upload, upload_id)
    if found is None or (found.project_id, found.user_id) != (project_id, user_id):
        raise UploadNotFound(
            f"There is no upload {upload_id!r} of yours in this project; it may have expired. "
            "Begin it again."
        )
    return found


async def forget(session: AsyncSession, upload_id: str) -> None:
    await session.execute(delete(Upload).where(Upload.id == upload_id))


async def expired(session: AsyncSession, project_id: str, at: datetime) -> Sequence[str]:
    query = select(Upload.id).where(Upload.project_id == project_id, Upload.expires_at <= at)
    return (await session.execute(query)).scalars().all()


async def ids(session: AsyncSession, project_id: str) -> frozenset[str]:
    """Return the uploads of a project that still need their file."""
    query = select(Upload.id).where(Upload.project_id == project_id, Upload.asset_id.is_(None))
    return frozenset((await session.execute(query)).scalars())
