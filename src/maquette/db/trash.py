"""The trash: assets that are hidden, and taking them away for good."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import delete, exists, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from maquette.core.pipeline import JobSpec
from maquette.core.states import JobState
from maquette.db.library import absent
from maquette.db.runs import OF_PICTURES
from maquette.db.tables import (
    Asset,
    AssetParent,
    AssetTag,
    Blob,
    Candidate,
    Consent,
    Favourite,
    File,
    Job,
    Run,
    Upload,
)

PURGED = "purged"
"""The error code of a job that cannot be resumed since one of its pictures is gone."""

_UNDECIDED = tuple(
    one.value for one in JobState if not one.final or one is JobState.OUTCOME_UNKNOWN
)
_UNDONE = (JobState.FAILED.value, JobState.CANCELLED.value)


async def held(session: AsyncSession, project_id: str, asset_id: str) -> Asset:
    """Return an asset of a project that nobody else changes until the commit."""
    query = select(Asset).where(Asset.id == asset_id, Asset.project_id + "" == project_id)
    found = (await session.execute(query.with_for_update())).scalar_one_or_none()
    if found is None:
        raise absent(asset_id)
    return found


async def old(
    session: AsyncSession, before: datetime, after: str, limit: int
) -> Sequence[tuple[str, str]]:
    """Return (project, asset) of what was thrown away before a time and has no child."""
    child = exists().where(AssetParent.parent_id == Asset.id)
    query = (
        select(Asset.project_id, Asset.id)
        .where(Asset.deleted_at.is_not(None), Asset.deleted_at < before, Asset.id > after, ~child)
        .order_by(Asset.id)
        .limit(limit)
    )
    return [(row.project_id, row.id) for row in await session.execute(query)]


async def child_of(session: AsyncSession, asset_id: str) -> str | None:
    """Return an asset that was made from this one."""
    query = select(AssetParent.asset_id).where(AssetParent.parent_id == asset_id).limit(1)
    return (await session.execute(query)).scalar_one_or_none()


async def run_that_needs(session: AsyncSession, asset: Asset) -> str | None:
    """Return an undecided run that made the asset or begins with it."""
    query = (
        select(Job)
        .join(Run, Run.id == Job.run_id)
        .where(Job.state.in_(_UNDECIDED), Run.project_id == asset.project_id, OF_PICTURES)
    )
    for job in (await session.execute(query)).scalars():
        spec = JobSpec.model_validate(job.spec)
        given = {one.digest for one in spec.pictures}
        if job.id == asset.job_id or spec.begins_with == asset.id or asset.digest in given:
            return job.run_id
    return None


async def purge(session: AsyncSession, asset: Asset) -> None:
    """Take an asset's rows away, and its blob's where no other asset has those bytes."""
    mine = asset.id
    await session.execute(
        update(Job)
        .where(Job.id == asset.job_id, Job.state.in_(_UNDONE))
        .values(error_code=PURGED, error_message="A picture of this job was purged.")
    )
    await session.execute(
        update(Job)
        .where(Job.id == asset.job_id, Job.final_asset_id == mine)
        .values(final_asset_id=None)
    )
    await session.execute(update(Upload).where(Upload.asset_id == mine).values(asset_id=None))
    for table in (AssetTag, Favourite, Consent, Candidate, File, AssetParent):
        await session.execute(delete(table).where(table.asset_id == mine))
    blob = select(Blob).where(Blob.project_id == asset.project_id, Blob.digest == asset.digest)
    same = select(func.count()).where(
        Asset.project_id == asset.project_id, Asset.digest == asset.digest
    )
    await session.delete(asset)
    await session.flush()
    # Locked before the count: whoever adds an asset with these bytes is waited for, or waits.
    found = (await session.execute(blob.with_for_update())).scalar_one_or_none()
    if found is not None and not (await session.execute(same)).scalar_one():
        await session.delete(found)
        await session.flush()
