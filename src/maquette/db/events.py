"""The append-only record of what happened; an event commits with what it tells of.

Ids grow in the order of the commits, so that whoever reads on from an id misses nothing: events
are written at the very end of their transaction, on Postgres under one lock that is held until
the commit. Nothing is locked after it, so it cannot be part of a deadlock.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from maquette.db.tables import Event

_NEWS = "maquette_events"
_ORDER = 0x6D61_7175_6576_6E74
"""The advisory lock's number: "maquevnt" in ASCII."""


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
    """Note what happened; `write` writes it when the transaction ends."""
    event = Event(project_id=project_id, run_id=run_id, job_id=job_id, kind=kind, data=data, at=at)
    session.info.setdefault(_NEWS, []).append(event)


async def write(session: AsyncSession) -> Collection[str]:
    """Write what was recorded, last of all; return of what kinds it was."""
    news: list[Event] = session.info.pop(_NEWS, [])
    if not news:
        return ()
    await session.flush()
    if session.get_bind().dialect.name == "postgresql":
        await session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ORDER})
    for event in news:  # one by one: rows that are inserted together may be numbered in any order
        session.add(event)
        await session.flush()
    return {event.kind for event in news}


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


async def first_id(session: AsyncSession, run_id: str) -> int:
    """Return the id of a run's first event, 0 where there is none."""
    query = select(func.min(Event.id)).where(Event.run_id == run_id)
    return (await session.execute(query)).scalar_one() or 0


async def last_id(session: AsyncSession) -> int:
    return (await session.execute(select(func.max(Event.id)))).scalar_one() or 0


async def after_id(session: AsyncSession, last_id: int, limit: int) -> Sequence[Event]:
    """Return a page of all events that came after `last_id`, oldest first."""
    query = select(Event).where(Event.id > last_id).order_by(Event.id).limit(limit)
    return (await session.execute(query)).scalars().all()


async def partials_of(session: AsyncSession, run_id: str, job_id: str) -> dict[str, str]:
    """Return the partial pictures that a job's events named: SHA-256 → media type."""
    query = select(Event.data).where(
        Event.run_id == run_id, Event.job_id == job_id, Event.kind == "partial"
    )
    return {
        data["sha256"]: data["media_type"]
        for data in (await session.execute(query)).scalars()
        if "sha256" in data
    }
