"""The append-only record of what happened; an event commits with what it tells of."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from maquette.db.tables import Event


def record(
    session: AsyncSession,
    kind: str,
    *,
    project_id: str,
    at: datetime,
    run_id: str | None = None,
    job_id: str | None = None,
    **data: Any,
) -> None:
    session.add(
        Event(project_id=project_id, run_id=run_id, job_id=job_id, kind=kind, data=data, at=at)
    )


async def after(
    session: AsyncSession, run_id: str, last_id: int, limit: int = 500
) -> Sequence[Event]:
    """Return a run's events that came after `last_id`, oldest first."""
    query = (
        select(Event)
        .where(Event.run_id == run_id, Event.id > last_id)
        .order_by(Event.id)
        .limit(limit)
    )
    return (await session.execute(query)).scalars().all()


async def last_of_kinds(session: AsyncSession, run_id: str, kinds: Sequence[str]) -> int:
    """Return the id of a run's latest event of those kinds, 0 where there is none."""
    query = select(func.max(Event.id)).where(Event.run_id == run_id, Event.kind.in_(kinds))
    return (await session.execute(query)).scalar_one() or 0
