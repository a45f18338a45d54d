"""Alerts: a cap is reached by half, by four fifths, wholly; noted in the commit that does it.

Half and four fifths are of the money that was really spent: what is held is a worst case, and most
of it comes back. The whole is of what is spent and held together, since that is what the cap is
held against: from there on it refuses.

The counters are locked where this is called (SQLite's whole database is), so that no two
transactions note the same; a unique index stands behind that.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, or_, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncSession

from maquette.db import caps, events
from maquette.db.tables import Budget, CapAlert

PERCENTS = (50, 80, 100)
EVENT = "cap_alert"
_FEW = 100
_NOBODY = ""
"""The project of an event that is no project's: only administrators follow it."""


async def note(session: AsyncSession, which: ColumnElement[bool]) -> None:
    """Note every share of a cap that these counters have reached and nobody was told of."""
    limit = caps.limit()
    query = select(
        Budget.cap_key, Budget.period, Budget.held_nano, Budget.settled_nano, limit
    ).where(
        which,
        caps.watched(),
        limit > 0,
        or_(
            Budget.settled_nano >= limit - Budget.settled_nano,
            Budget.settled_nano + Budget.held_nano >= limit,
        ),
    )
    full = (await session.execute(query)).all()
    known = await _standing(session, [(row[0], row[1]) for row in full])
    now = datetime.now(UTC)
    for key, period, held, settled, ceiling in full:
        for percent in PERCENTS:
            used = settled + held if percent == 100 else settled
            if used * 100 >= ceiling * percent and (key, period, percent) not in known:
                _note(session, key, period, percent, ceiling, used, now)
    await session.flush()


def _note(
    session: AsyncSession,
    key: str,
    period: str,
    percent: int,
    ceiling: int,
    used: int,
    now: datetime,
) -> None:
    facts: dict[str, Any] = {"percent": percent, "limit_nano": ceiling, "used_nano": used}
    session.add(CapAlert(cap_key=key, period=period, at=now, **facts))
    kind, _, name = key.partition(":")
    project_id = name if kind in ("project", "project-day") else _NOBODY
    events.record(session, EVENT, project_id=project_id, at=now, cap=key, period=period, **facts)


async def _standing(
    session: AsyncSession, counters: Sequence[tuple[str, str]]
) -> set[tuple[str, str, int]]:
    """Return the alerts of these counters that stand; of many, those of their days."""
    if not counters:
        return set()
    named = tuple_(CapAlert.cap_key, CapAlert.period).in_(counters)
    if len(counters) > _FEW:
        named = CapAlert.period.in_({period for _, period in counters})
    query = select(CapAlert.cap_key, CapAlert.period, CapAlert.percent)
    query = query.where(CapAlert.rearmed_at.is_(None), named)
    return {(key, period, percent) for key, period, percent in await session.execute(query)}


async def lock(session: AsyncSession, key: str, today: str) -> None:
    """Let no counter under this cap change before the transaction ends.

    Whoever locks others afterwards must not come here: they are all locked in one order. So a
    run's counter, whose ceiling is set in the transaction that holds its money, is left alone.
    """
    if key.startswith(caps.SILENT):
        return
    query = select(Budget.id).where(caps.under(key), caps.current(today))
    await session.execute(query.order_by(Budget.id).with_for_update())


async def rearm(session: AsyncSession, key: str, today: str) -> None:
    """After a cap was changed: forget what is not reached any more, note what now is."""
    if key.startswith(caps.SILENT):
        return
    which = caps.under(key) & caps.current(today)
    counted = await session.execute(
        select(
            Budget.cap_key, Budget.period, Budget.held_nano, Budget.settled_nano, caps.limit()
        ).where(which)
    )
    levels = {(row[0], row[1]): (row[2], row[3], row[4]) for row in counted}
    standing = await _standing(session, list(levels))
    for name, period, percent in standing & {(*one, share) for one in levels for share in PERCENTS}:
        held, settled, ceiling = levels[name, period]
        used = settled + held if percent == 100 else settled
        if used * 100 < ceiling * percent:
            await session.execute(
                update(CapAlert)
                .where(
                    CapAlert.cap_key == name,
                    CapAlert.period == period,
                    CapAlert.percent == percent,
                    CapAlert.rearmed_at.is_(None),
                )
                .values(rearmed_at=datetime.now(UTC))
            )
    await note(session, which)


async def due(session: AsyncSession, limit: int) -> Sequence[CapAlert]:
    """Return alerts that the installation's address was not told of, oldest first."""
    query = select(CapAlert).where(CapAlert.told_at.is_(None)).order_by(CapAlert.id).limit(limit)
    return (await session.execute(query)).scalars().all()


async def told(session: AsyncSession, alert_id: int, at: datetime) -> None:
    await session.execute(
        update(CapAlert)
        .where(CapAlert.id == alert_id, CapAlert.told_at.is_(None))
        .values(told_at=at)
    )
