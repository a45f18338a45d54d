"""Ends of runs that a project's address is still to be told of."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import delete, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from maquette.db.tables import Attempt, Job, Notice, Project, Run
from maquette.db.upsert import insert_missing


async def add(session: AsyncSession, run: Run, at: datetime) -> None:
    """Note that a run has ended, where its project has an address that wants to know."""
    project = await session.get_one(Project, run.project_id)
    if project.notify_url is not None:
        await insert_missing(session, Notice, [{"run_id": run.id, "created_at": at}])


async def due(session: AsyncSession, limit: int) -> Sequence[str]:
    query = select(Notice.run_id).order_by(Notice.created_at, Notice.run_id).limit(limit)
    return (await session.execute(query)).scalars().all()


async def spent_nano(session: AsyncSession, run_id: str) -> int:
    """Return what a run's calls were charged."""
    total = func.coalesce(func.sum(Attempt.settled_nano), 0)
    query = select(total).join(Job, Job.id == Attempt.job_id).where(Job.run_id == run_id)
    return int((await session.execute(query)).scalar_one())


async def told(session: AsyncSession, run_id: str) -> None:
    await session.execute(delete(Notice).where(Notice.run_id == run_id))
