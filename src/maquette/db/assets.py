"""Assets, the blobs they point to, their parents and the files that show them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import uuid4

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from maquette.core.errors import AssetNotFound
from maquette.db.tables import Asset, AssetParent, Blob, File, Job, Run
from maquette.db.upsert import insert_missing


@dataclass(frozen=True)
class NewBlob:
    """Facts about bytes that the store already holds."""

    digest: str
    media_type: str
    size_bytes: int
    width_px: int
    height_px: int
    has_alpha: bool


@dataclass(frozen=True)
class NewAsset:
    """An asset before it has an id."""

    blob: NewBlob
    kind: str
    name: str
    made_by: Mapping[str, Any]
    parents: Sequence[tuple[str, str]] = ()
    """(asset id, role)"""
    job_id: str | None = None
    cache_key: str | None = None
    cost_nano: int = 0
    creator_id: str | None = None
    """None: who began the run of its job, if it has one."""
    id: str = field(default_factory=lambda: str(uuid4()))


async def add(session: AsyncSession, project_id: str, new: NewAsset, at: datetime) -> str:
    """Add an asset with its blob and lineage; return its id."""
    await _hold_blob(session, project_id, new.blob, at)
    by_job, began = await _job_of(session, new.job_id)
    request: Mapping[str, Any] = new.made_by.get("request") or by_job
    session.add(
        Asset(
            id=new.id,
            project_id=project_id,
            digest=new.blob.digest,
            kind=new.kind,
            name=new.name,
            job_id=new.job_id,
            creator_id=new.creator_id or began,
            prompt=request.get("prompt", ""),
            provider=request.get("provider", ""),
            model=request.get("model", ""),
            made_by=dict(new.made_by),
            cache_key=new.cache_key,
            cost_nano=new.cost_nano,
            created_at=at,
        )
    )
    await session.flush()
    rows = [{"asset_id": new.id, "parent_id": parent, "role": role} for parent, role in new.parents]
    await insert_missing(session, AssetParent, rows)
    return new.id


async def _hold_blob(session: AsyncSession, project_id: str, new: NewBlob, at: datetime) -> None:
    """Write a blob's row where it is missing; until the commit nobody can purge it."""
    row = {"project_id": project_id, "created_at": at, **vars(new)}
    await insert_missing(session, Blob, [row])
    if session.get_bind().dialect.name != "postgresql":
        return
    held = (
        select(Blob.digest)
        .where(Blob.project_id == project_id, Blob.digest == new.digest)
        .with_for_update(read=True, key_share=True)
    )
    if (await session.execute(held)).first() is None:  # it was purged in this very moment
        await insert_missing(session, Blob, [row])


async def _job_of(
    session: AsyncSession, job_id: str | None
) -> tuple[Mapping[str, Any], str | None]:
    """Return the request of a job, empty where it has none, and who began its run."""
    if job_id is None:
        return {}, None
    query = select(Job.spec, Run.creator_id).join(Run, Run.id == Job.run_id).where(Job.id == job_id)
    found = (await session.execute(query)).one_or_none()
    return ({}, None) if found is None else (found[0].get("request") or {}, found[1])


async def by_id(session: AsyncSession, asset_id: str) -> Asset:
    query = select(Asset).where(Asset.id.startswith(asset_id)).limit(2)
    found = (await session.execute(query)).scalars().all()
    if len(found) != 1:
        many = "Several assets begin with" if found else "There is no asset"
        raise AssetNotFound(f"{many} {asset_id!r}. `maquette show RUN` lists a run's assets.")
    return found[0]


async def get(session: AsyncSession, asset_id: str) -> tuple[Asset, Blob]:
    query = (
        select(Asset, Blob)
        .join(Blob, (Blob.project_id == Asset.project_id) & (Blob.digest == Asset.digest))
        .where(Asset.id == asset_id)
    )
    found = (await session.execute(query)).one_or_none()
    if found is None:
        raise AssetNotFound(f"There is no asset {asset_id!r}.")
    return found


async def with_digest(
    session: AsyncSession, project_id: str, digest: str, kind: str
) -> Asset | None:
    """Return the oldest asset of that kind with those bytes, one in the trash where all are."""
    query = (
        select(Asset)
        .where(Asset.project_id == project_id, Asset.digest == digest, Asset.kind == kind)
        .order_by(Asset.deleted_at.is_not(None), Asset.created_at, Asset.id)
        .limit(1)
    )
    return (await session.execute(query)).scalar_one_or_none()


async def used_again(
    session: AsyncSession, project_id: str, digest: str, kind: str
) -> Asset | None:
    """Do as `with_digest`, and take what is found out of the trash."""
    found = await with_digest(session, project_id, digest, kind)
    if found is not None:
        found.deleted_at = None
    return found


async def cached(
    session: AsyncSession, project_id: str, cache_key: str
) -> tuple[Asset, Blob] | None:
    """Return an asset that the same deterministic step has made before."""
    query = (
        select(Asset, Blob)
        .join(Blob, (Blob.project_id == Asset.project_id) & (Blob.digest == Asset.digest))
        .where(Asset.project_id == project_id, Asset.cache_key == cache_key)
        .order_by(Asset.created_at.desc())
        .limit(1)
    )
    return (await session.execute(query)).first()


async def parents_of(session: AsyncSession, asset_id: str) -> Sequence[tuple[Asset, str]]:
    query = (
        select(Asset, AssetParent.role)
        .join(AssetParent, AssetParent.parent_id == Asset.id)
        .where(AssetParent.asset_id == asset_id)
        .order_by(AssetParent.role, Asset.created_at)
    )
    return (await session.execute(query)).all()


async def children_of(session: AsyncSession, asset_id: str) -> Sequence[tuple[Asset, str]]:
    query = (
        select(Asset, AssetParent.role)
        .join(AssetParent, AssetParent.asset_id == Asset.id)
        .where(AssetParent.parent_id == asset_id)
        .order_by(Asset.created_at, Asset.id)
    )
    return (await session.execute(query)).all()


async def blobs(session: AsyncSession, project_id: str) -> Sequence[Blob]:
    query = select(Blob).where(Blob.project_id == project_id).order_by(Blob.digest)
    return (await session.execute(query)).scalars().all()


async def files(session: AsyncSession, project_id: str) -> Sequence[tuple[File, Asset]]:
    query = (
        select(File, Asset)
        .join(Asset, Asset.id == File.asset_id)
        .where(File.project_id == project_id)
        .order_by(File.path)
    )
    return (await session.execute(query)).all()


async def file_at(session: AsyncSession, project_id: str, path: str) -> File | None:
    return await session.get(File, (project_id, path))


async def show_at(
    session: AsyncSession, project_id: str, path: str, asset_id: str, at: datetime
) -> None:
    """Note that a name in the project's folders shows an asset."""
    found = await file_at(session, project_id, path)
    if found is None:
        session.add(File(project_id=project_id, path=path, asset_id=asset_id, written_at=at))
    else:
        found.asset_id = asset_id
        found.written_at = at
    await session.flush()


async def rename(session: AsyncSession, project_id: str, old: str, new: str, at: datetime) -> None:
    """Follow a file that was moved to another name."""
    found = await file_at(session, project_id, old)
    if found is not None:
        asset_id = found.asset_id
        await session.delete(found)
        await session.flush()
        await show_at(session, project_id, new, asset_id, at)


async def files_of(session: AsyncSession, asset_id: str) -> Sequence[str]:
    query = select(File.path).where(File.asset_id == asset_id).order_by(File.path)
    return (await session.execute(query)).scalars().all()


async def link(session: AsyncSession, asset_id: str, parent_id: str, role: str) -> None:
    """Say that an asset was made from another."""
    row = {"asset_id": asset_id, "parent_id": parent_id, "role": role}
    await insert_missing(session, AssetParent, [row])
