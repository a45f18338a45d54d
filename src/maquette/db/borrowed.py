"""Pictures that are forgotten when what they were sent for is done."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from maquette.core.pipeline import JobSpec
from maquette.db.tables import Asset, AssetParent, Borrowed, Job
from maquette.db.upsert import insert_missing


async def lend(session: AsyncSession, asset_id: str, project_id: str, at: datetime) -> None:
    """Note that an asset is to be forgotten."""
    row = {"asset_id": asset_id, "project_id": project_id, "created_at": at}
    await insert_missing(session, Borrowed, [row])


async def of_run(session: AsyncSession, run_id: str) -> Sequence[str]:
    """Return the borrowed assets that a run's jobs began with."""
    jobs = (await session.execute(select(Job.spec).where(Job.run_id == run_id))).scalars()
    given = [asset for spec in jobs for asset, _ in JobSpec.model_validate(spec).parents]
    query = select(Borrowed.asset_id).where(Borrowed.asset_id.in_(given))
    return (await session.execute(query)).scalars().all()


async def due(session: AsyncSession, before: datetime, limit: int, after: str) -> Sequence[str]:
    """Return borrowed assets from before a time, from the one that follows `after`."""
    query = (
        select(Borrowed.asset_id)
        .where(Borrowed.created_at < before, Borrowed.asset_id > after)
        .order_by(Borrowed.asset_id)
        .limit(limit)
    )
    return (await session.execute(query)).scalars().all()


async def forget(session: AsyncSession, asset_id: str) -> None:
    """Take the note away: the asset is gone, or is kept after all."""
    await session.execute(delete(Borrowed).where(Borrowed.asset_id == asset_id))


async def cut_loose(session: AsyncSession, asset: Asset) -> None:
    """Let what was made from an asset stand without it; its request still says what was given."""
    await session.execute(delete(AssetParent).where(AssetParent.parent_id == asset.id))
