"""Money: holds on every cap that applies, and the attempts that spend them.

For every budget, at every commit:
`held = Σ open holds' remaining + Σ reserved of attempts that are reserved, sent or unknown`.
Every change is one conditional UPDATE, so it holds under any concurrency.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from sqlalchemy import CursorResult, delete, exists, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.sql.dml import Update

from maquette.core import money
from maquette.core.errors import BudgetExceeded, Conflict, SpendStopped
from maquette.core.states import AttemptState
from maquette.db.tables import Attempt, Budget, Cap, Hold, HoldBudget, Installation
from maquette.db.upsert import insert_missing

_STOPPED = exists().where(Installation.id == 1, Installation.spend_stopped_at.is_not(None))


@dataclass(frozen=True)
class Scope:
    """Which counters a job's money counts in."""

    project_id: str
    run_id: str
    day: str
    user_id: str | None = None
    """Who began the run; None: from the command line, or before there were people."""

    def counters(self) -> tuple[tuple[str, str], ...]:
        own = () if self.user_id is None else ((f"user:{self.user_id}", ""),)
        return (
            ("installation", ""),
            ("day", self.day),
            (f"project:{self.project_id}", ""),
            (f"run:{self.run_id}", ""),
            *own,
        )


async def set_cap(session: AsyncSession, key: str, limit_nano: int | None) -> None:
    """Set or, with None, remove a ceiling; what is already spent stays counted."""
    await session.execute(delete(Cap).where(Cap.key == key))
    if limit_nano is not None:
        session.add(Cap(key=key, limit_nano=limit_nano))
    await session.flush()


async def caps(session: AsyncSession) -> dict[str, int]:
    rows = await session.execute(select(Cap.key, Cap.limit_nano))
    return dict(rows.all())


async def budget(session: AsyncSession, key: str, period: str = "") -> tuple[int, int]:
    """Return (held, settled) of one counter."""
    query = select(Budget.held_nano, Budget.settled_nano)
    row = (
        await session.execute(query.where(Budget.cap_key == key, Budget.period == period))
    ).one_or_none()
    return (0, 0) if row is None else (row.held_nano, row.settled_nano)


async def stop_spending(session: AsyncSession, at: datetime | None, why: str | None) -> None:
    """Throw the kill switch (`at` a time) or take it back (None)."""
    await insert_missing(session, Installation, [{"id": 1}])
    await session.execute(update(Installation).values(spend_stopped_at=at, spend_stopped_why=why))


async def stopped(session: AsyncSession) -> Installation | None:
    """Return the row while the kill switch is on."""
    row = await session.get(Installation, 1)
    return row if row is not None and row.spend_stopped_at is not None else None


async def place_hold(session: AsyncSession, job_id: str, amount_nano: int, scope: Scope) -> None:
    """Hold a job's worst case on every cap, or on none; free work holds nothing."""
    if amount_nano == 0:
        return
    if await stopped(session) is not None:
        raise _stopped_error()
    counters = scope.counters()
    await insert_missing(
        session,
        Budget,
        [
            {"cap_key": key, "period": period, "held_nano": 0, "settled_nano": 0}
            for key, period in counters
        ],
    )
    # Locked in one order everywhere: on Postgres two submissions must not wait for each other.
    chosen = (
        select(Budget.id)
        .where(tuple_(Budget.cap_key, Budget.period).in_(counters))
        .order_by(Budget.id)
        .with_for_update()
    )
    ids = list((await session.execute(chosen)).scalars())
    over = exists().where(
        Cap.key == Budget.cap_key,
        Budget.held_nano + Budget.settled_nano + amount_nano > Cap.limit_nano,
    )
    held = await _count(
        session,
        update(Budget)
        .where(Budget.id.in_(ids), ~over, ~_STOPPED)
        .values(held_nano=Budget.held_nano + amount_nano),
    )
    if held != len(counters):
        raise await _over_budget(session, ids, amount_nano)
    await _open_hold(session, job_id, amount_nano, scope.day, ids)


async def _open_hold(
    session: AsyncSession, job_id: str, amount_nano: int, day: str, budget_ids: Sequence[int]
) -> None:
    reopened = await _count(
        session,
        update(Hold)
        .where(Hold.job_id == job_id, ~Hold.is_open)
        .values(is_open=True, remaining_nano=amount_nano, day=day),
    )
    if not reopened:
        session.add(Hold(job_id=job_id, remaining_nano=amount_nano, is_open=True, day=day))
        await session.flush()
    elif not await _standing(session, job_id, day):
        # Another person goes on with the job: from now on it counts in their counters alone.
        others = HoldBudget.budget_id.not_in(budget_ids)
        await session.execute(
            delete(HoldBudget).where(HoldBudget.job_id == job_id, HoldBudget.day == day, others)
        )
    links = [{"job_id": job_id, "day": day, "budget_id": one} for one in budget_ids]
    await insert_missing(session, HoldBudget, links)


async def _standing(session: AsyncSession, job_id: str, day: str) -> bool:
    """Say whether an attempt of the job's earlier hold still has money under way."""
    open_states = (AttemptState.RESERVED, AttemptState.SENT, AttemptState.UNKNOWN)
    query = select(Attempt.id).where(
        Attempt.job_id == job_id, Attempt.day == day, Attempt.state.in_(open_states)
    )
    return (await session.execute(query.limit(1))).first() is not None


async def reserve(session: AsyncSession, attempt: Attempt) -> None:
    """Move the attempt's part from its job's hold; the attempt row is added with it."""
    if attempt.reserved_nano:
        moved = await _count(
            session,
            update(Hold)
            .where(
                Hold.job_id == attempt.job_id,
                Hold.is_open,
                Hold.remaining_nano >= attempt.reserved_nano,
            )
            .values(remaining_nano=Hold.remaining_nano - attempt.reserved_nano),
        )
        if not moved:
            price = money.show(money.from_nano(attempt.reserved_nano))
            raise BudgetExceeded(
                f"The job's reservation has less than {price} left, so the call was not made. "
                "The price rose after planning: plan the run again."
            )
        hold = await session.get_one(Hold, attempt.job_id, populate_existing=True)
        attempt.day = hold.day
    session.add(attempt)
    await session.flush()


async def mark_sent(session: AsyncSession, attempt_id: str, paid: bool, at: datetime) -> None:  # noqa: FBT001 - it is the ledger's own word
    """Say, before it happens, that the call goes out; refuse while spending is stopped."""
    sent = (
        update(Attempt)
        .where(Attempt.id == attempt_id, Attempt.state == AttemptState.RESERVED)
        .values(state=AttemptState.SENT.value, sent_at=at)
    )
    if not await _count(session, sent.where(~_STOPPED) if paid else sent):
        if paid and await stopped(session) is not None:
            raise _stopped_error()
        raise Conflict(f"Attempt {attempt_id} is not waiting to be sent.")


async def note_ticket(session: AsyncSession, attempt_id: str, ticket: str, endpoint: str) -> None:
    """Keep the provider's own name for the work, to ask for it after a crash."""
    values = {"ticket": ticket, "endpoint": endpoint}
    await session.execute(update(Attempt).where(Attempt.id == attempt_id).values(**values))


async def settle(session: AsyncSession, attempt: Attempt, actual_nano: int, at: datetime) -> None:
    """Turn what was reserved into what was really charged."""
    await _finish(session, attempt, AttemptState.SETTLED, at, settled_nano=actual_nano)
    await _shift(session, attempt, held=-attempt.reserved_nano, settled=actual_nano)


async def release(
    session: AsyncSession,
    attempt: Attempt,
    at: datetime,
    *,
    state: AttemptState = AttemptState.RELEASED,
    error_code: str | None = None,
    error_message: str | None = None,
) -> None:
    """Give an uncharged attempt's money back to its job's hold, or to the caps if that closed."""
    await _finish(session, attempt, state, at, error_code=error_code, error_message=error_message)
    if not attempt.reserved_nano:
        return
    returned = await _count(
        session,
        update(Hold)
        .where(Hold.job_id == attempt.job_id, Hold.is_open, Hold.day == attempt.day)
        .values(remaining_nano=Hold.remaining_nano + attempt.reserved_nano),
    )
    if not returned:
        await _shift(session, attempt, held=-attempt.reserved_nano)


async def mark_unknown(session: AsyncSession, attempt: Attempt, at: datetime, message: str) -> None:
    """Leave the money counted: the call may have been charged."""
    await _finish(
        session,
        attempt,
        AttemptState.UNKNOWN,
        at,
        error_code="outcome-unknown",
        error_message=message,
    )


async def write_off(
    session: AsyncSession, attempt: Attempt, charged_nano: int, at: datetime
) -> None:
    """Record a person's decision that an unknown call was charged."""
    await _finish(session, attempt, AttemptState.WRITTEN_OFF, at, settled_nano=charged_nano)
    await _shift(session, attempt, held=-attempt.reserved_nano, settled=charged_nano)


async def close_hold(session: AsyncSession, job_id: str) -> None:
    """Free what the job did not use; a hold ends only when its job ends."""
    hold = await session.get(Hold, job_id, with_for_update=True)
    if hold is None or not hold.is_open:
        return
    await _shift(session, hold, held=-hold.remaining_nano)
    await session.execute(
        update(Hold).where(Hold.job_id == job_id).values(remaining_nano=0, is_open=False)
    )


async def _finish(
    session: AsyncSession, attempt: Attempt, state: AttemptState, at: datetime, **values: Any
) -> None:
    changed = await _count(
        session,
        update(Attempt)
        .where(
            Attempt.id == attempt.id,
            Attempt.state.in_([AttemptState.RESERVED, AttemptState.SENT, AttemptState.UNKNOWN]),
        )
        .values(state=state.value, finished_at=at, **values),
    )
    if not changed:
        raise Conflict(f"Attempt {attempt.id} was already decided; nothing was changed.")


async def _shift(
    session: AsyncSession, money_of: Hold | Attempt, *, held: int, settled: int = 0
) -> None:
    if not (held or settled):
        return
    mine = select(HoldBudget.budget_id).where(
        HoldBudget.job_id == money_of.job_id, HoldBudget.day == money_of.day
    )
    locked = select(Budget.id).where(Budget.id.in_(mine)).order_by(Budget.id).with_for_update()
    ids = list((await session.execute(locked)).scalars())
    await session.execute(
        update(Budget)
        .where(Budget.id.in_(ids))
        .values(held_nano=Budget.held_nano + held, settled_nano=Budget.settled_nano + settled)
    )


async def _count(session: AsyncSession, statement: Update) -> int:
    statement = statement.execution_options(synchronize_session=False)
    return cast("CursorResult[Any]", await session.execute(statement)).rowcount


def _stopped_error() -> SpendStopped:
    return SpendStopped(
        "Spending is stopped for the whole installation, so nothing was sent. "
        "`maquette spend resume` allows it again."
    )


async def _over_budget(
    session: AsyncSession, ids: Sequence[int], amount_nano: int
) -> BudgetExceeded | SpendStopped:
    if await stopped(session) is not None:
        return _stopped_error()
    query = (
        select(Budget.cap_key, Budget.period, Budget.held_nano, Budget.settled_nano, Cap.limit_nano)
        .join(Cap, Cap.key == Budget.cap_key)
        .where(
            Budget.id.in_(ids),
            Budget.held_nano + Budget.settled_nano + amount_nano > Cap.limit_nano,
        )
    )
    row = (await session.execute(query)).first()
    if row is None:
        return BudgetExceeded("The caps changed meanwhile, so nothing was sent. Try again.")
    kind = row.cap_key.partition(":")[0]
    named = f"{kind} cap" + (f" of {row.period}" if row.period else "")
    show = {
        "asked": money.show(money.from_nano(amount_nano)),
        "limit": money.show(money.from_nano(row.limit_nano)),
        "held": money.show(money.from_nano(row.held_nano)),
        "spent": money.show(money.from_nano(row.settled_nano)),
    }
    way_out = (
        "Raise --max-spend or ask for fewer pictures."
        if kind == "run"
        else "`maquette spend caps` shows and changes the caps."
    )
    return BudgetExceeded(
        "The next job's worst case of {asked} does not fit under the {named} of {limit} "
        "({spent} spent, {held} held), so nothing was sent. {way_out}".format(
            named=named, way_out=way_out, **show
        ),
        cap=row.cap_key,
    )
