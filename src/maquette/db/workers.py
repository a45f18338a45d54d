"""The processes that work jobs, as they say of themselves."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import delete, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from maquette.db.tables import Worker


async def beat(session: AsyncSession, worker_id: str, name: str, state: str, at: datetime) -> None:
    """Say that a worker lives, and what it does."""
    found = await session.get(Worker, worker_id)
    if found is None:
        session.add(Worker(id=worker_id, name=name, state=state, started_at=at, beat_at=at))
    else:
        found.state = state
        found.beat_at = at


async def leave(session: AsyncSession, worker_id: str, dead_since: datetime) -> None:
    """Forget a worker that stops, and those that never said so."""
    gone = (Worker.id == worker_id) | (Worker.beat_at < dead_since)
    await session.execute(delete(Worker).where(gone))


async def alive(session: AsyncSession, since: datetime) -> int:
    query = select(func.count()).select_from(Worker).where(Worker.beat_at >= since)
    return (await session.execute(query)).scalar_one()
