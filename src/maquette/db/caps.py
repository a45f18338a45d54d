"""Ceilings: which one holds for a counter, and how full all of them are."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, and_, case, delete, func, or_, select, true, update
from sqlalchemy.ext.asyncio import AsyncSession

from maquette.db.tables import Budget, Cap, CapAlert
from maquette.db.upsert import insert_missing

DEFAULTS = ("project-day", "user-day")
"""Kinds of which one cap holds for all that have none of their own."""
BY_DAY = ("day", *DEFAULTS)
"""Kinds whose counters begin anew with each day."""
_NO_LIMIT = 2**63 - 1
SILENT = ("run:", "wallet:")
"""Ceilings that nobody set for an installation: of one order, and of what was paid in."""


@dataclass(frozen=True)
class Level:
    """A counter and its ceiling, in nano-dollars."""

    key: str
    period: str
    limit: int | None
    own: bool
    """The ceiling is the counter's own, not that of all of its kind."""
    held: int
    settled: int
    reached: tuple[int, ...] = ()
    """The percentages that alerts stand for."""


def limit() -> ColumnElement[int]:
    """Return the ceiling over a row of `budgets`: its own, else its kind's, else none at all."""
    kinds = case(*((Budget.cap_key.startswith(f"{one}:"), one) for one in DEFAULTS), else_="")
    own, default = (
        select(Cap.limit_nano).where(Cap.key == key).correlate(Budget).scalar_subquery()
        for key in (Budget.cap_key, kinds)
    )
    return func.coalesce(own, default, _NO_LIMIT)


def period_of(key: str, today: str) -> str:
    """Return the period that a counter of this key counts in now."""
    return today if key.partition(":")[0] in BY_DAY else ""


def under(key: str) -> ColumnElement[bool]:
    """Say which counters a cap of this key bounds."""
    return Budget.cap_key.startswith(f"{key}:") if key in DEFAULTS else Budget.cap_key == key


def watched() -> ColumnElement[bool]:
    """Say which counters are shown, and alerts noted of."""
    return and_(*(~Budget.cap_key.startswith(one) for one in SILENT))


def current(today: str) -> ColumnElement[bool]:
    return Budget.period.in_(("", today))


async def put(session: AsyncSession, key: str, limit_nano: int | None) -> None:
    """Write the ceiling; None takes it away."""
    if limit_nano is None:
        await session.execute(delete(Cap).where(Cap.key == key))
        return
    await insert_missing(session, Cap, [{"key": key, "limit_nano": limit_nano}])
    await session.execute(update(Cap).where(Cap.key == key).values(limit_nano=limit_nano))


async def own(session: AsyncSession, keys: Collection[str]) -> dict[str, int]:
    """Return those of these caps that are set."""
    rows = await session.execute(select(Cap.key, Cap.limit_nano).where(Cap.key.in_(keys)))
    return dict(rows.all())


async def levels(
    session: AsyncSession, today: str, keys: Collection[str] | None = None
) -> Sequence[Level]:
    """Return all that count now or are capped, those of runs left out; or these keys alone."""
    only = true() if keys is None else Budget.cap_key.in_(keys)
    counted = await session.execute(
        select(Budget.cap_key, Budget.period, Budget.held_nano, Budget.settled_nano).where(
            current(today), watched(), only
        )
    )
    counts = {(key, period): (held, settled) for key, period, held, settled in counted}
    mine = true() if keys is None else or_(Cap.key.in_(keys), Cap.key.in_(DEFAULTS))
    limits = await session.execute(
        select(Cap.key, Cap.limit_nano).where(*(~Cap.key.startswith(one) for one in SILENT), mine)
    )
    caps: dict[str, int] = dict(limits.all())
    reached = await _standing(session, today)
    named = {key for key, _ in counts} | (set(caps) if keys is None else set(keys))
    found: list[Level] = []
    for key in sorted(named):
        period = period_of(key, today)
        held, settled = counts.get((key, period), (0, 0))
        ceiling = caps.get(key, caps.get(key.partition(":")[0]) if ":" in key else None)
        found.append(
            Level(key, period, ceiling, key in caps, held, settled, reached.get((key, period), ()))
        )
    return found


async def _standing(session: AsyncSession, today: str) -> dict[tuple[str, str], tuple[int, ...]]:
    query = (
        select(CapAlert.cap_key, CapAlert.period, CapAlert.percent)
        .where(CapAlert.rearmed_at.is_(None), CapAlert.period.in_(("", today)))
        .order_by(CapAlert.percent)
    )
    found: dict[tuple[str, str], tuple[int, ...]] = {}
    for key, period, percent in await session.execute(query):
        found[key, period] = (*found.get((key, period), ()), percent)
    return found
