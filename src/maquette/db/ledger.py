"""Money: holds on every cap that applies, and the attempts that spend them.

For every budget, at every commit:
`held = Σ open holds' remaining + Σ reserved of attempts that are reserved, sent or unknown`.
Every change is one conditional UPDATE, so it holds under any concurrency.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from sqlalchemy import ColumnElement, CursorResult, delete, exists, select, true, tuple_, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.sql.dml import Update

from maquette.core import money
from maquette.core.errors import BudgetExceeded, Conflict
from maquette.core.states import AttemptState
from maquette.db import alerts, refusals, wallets
from maquette.db.caps import limit as ceiling
from maquette.db.caps import put as put_cap
from maquette.db.tables import Attempt, Budget, Cap, Hold, HoldBudget, Installation, Job, Run
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
    from_wallet: bool = False
    """Their credits pay: the wallet is a counter whose cap is what was put into it."""
    role_day_nano: int | None = None
    """What their role may spend in a day, where they have no such cap of their own."""

    def counters(self) -> tuple[tuple[str, str], ...]:
        person = self.user_id
        own = ((f"user:{person}", ""), (f"user-day:{person}", self.day)) if person else ()
        return (
            ("installation", ""),
            ("day", self.day),
            (f"project:{self.project_id}", ""),
            (f"project-day:{self.project_id}", self.day),
            (f"run:{self.run_id}", ""),
            *own,
            *(((wallets.key(self.user_id), ""),) if self.user_id and self.from_wallet else ()),
        )


async def set_cap(session: AsyncSession, key: str, limit_nano: int | None, today: str = "") -> None:
    """Set or, with None, remove a ceiling; what is already spent stays counted.

    `today` is the day whose counters' alerts are looked at anew, where the ceiling is a day's.
    """
    await alerts.lock(session, key, today)
    await put_cap(session, key, limit_nano)
    await alerts.rearm(session, key, today)


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
        raise refusals.stopped()
    counters = scope.counters()
    await refusals.early(session, counters, amount_nano)
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
    if scope.user_id is not None and scope.from_wallet:
        await wallets.ensure(session, scope.user_id)
    total = Budget.held_nano + Budget.settled_nano + amount_nano
    fits = (total <= ceiling()) & _within_role(scope, total)
    held = await _count(
        session,
        update(Budget)
        .where(Budget.id.in_(ids), fits, ~_STOPPED)
        .values(held_nano=Budget.held_nano + amount_nano),
    )
    if held != len(counters):
        if await stopped(session) is not None:
            raise refusals.stopped()
        raise await refusals.over_budget(session, ids, amount_nano, scope.role_day_nano)
    await _open_hold(session, job_id, amount_nano, scope, ids)
    await alerts.note(session, Budget.id.in_(ids))


def _within_role(scope: Scope, total: ColumnElement[int]) -> ColumnElement[bool]:
    """Bound a person's day by their role, where no cap of their own says otherwise."""
    if scope.role_day_nano is None:
        return true()
    own = exists().where(Cap.key == Budget.cap_key)
    mine = Budget.cap_key == f"user-day:{scope.user_id}"
    return ~mine | own | (total <= scope.role_day_nano)


async def _open_hold(
    session: AsyncSession, job_id: str, amount_nano: int, scope: Scope, budget_ids: Sequence[int]
) -> None:
    day, whose = scope.day, {"day": scope.day, "user_id": scope.user_id}
    reopened = await _count(
        session,
        update(Hold)
        .where(Hold.job_id == job_id, ~Hold.is_open)
        .values(is_open=True, remaining_nano=amount_nano, **whose),
    )
    if not reopened:
        session.add(Hold(job_id=job_id, remaining_nano=amount_nano, is_open=True, **whose))
        await session.flush()
    elif not await _standing(session, job_id, day):
        # Another person goes on with the job: from now on it counts in their counters alone.
        others = HoldBudget.budget_id.not_in(budget_ids)
        await session.execute(
            delete(HoldBudget).where(HoldBudget.job_id == job_id, HoldBudget.day == day, others)
        )
    elif await _counted_elsewhere(session, job_id, day, budget_ids):
        raise Conflict(
            f"A call of {job_id} is under way and counts in other counters than yours would, so "
            "nothing was sent. Whoever began it can go on; others can when the call has ended."
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


async def _counted_elsewhere(
    session: AsyncSession, job_id: str, day: str, budget_ids: Sequence[int]
) -> bool:
    """Say whether a call that stands would be shifted in counters that never held its money."""
    links = select(HoldBudget.budget_id).where(HoldBudget.job_id == job_id, HoldBudget.day == day)
    known = set((await session.execute(links)).scalars())
    return bool(known) and known != set(budget_ids)


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
        attempt.day, attempt.user_id = hold.day, hold.user_id
    project = select(Run.project_id).join(Job, Job.run_id == Run.id)
    named = await session.execute(project.where(Job.id == attempt.job_id))
    attempt.project_id = named.scalar_one_or_none()
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
            raise refusals.stopped()
        raise Conflict(f"Attempt {attempt_id} is not waiting to be sent.")


async def note_ticket(session: AsyncSession, attempt_id: str, ticket: str, endpoint: str) -> None:
    """Keep the provider's own name for the work, to ask for it after a crash."""
    values = {"ticket": ticket, "endpoint": endpoint}
    await session.execute(update(Attempt).where(Attempt.id == attempt_id).values(**values))


async def note_usage(
    session: AsyncSession, attempt_id: str, usage: Mapping[str, Any] | None
) -> None:
    """Keep what the call used, as its provider counts it."""
    if usage is not None:
        noted = update(Attempt).where(Attempt.id == attempt_id).values(usage=dict(usage))
        await session.execute(noted.execution_options(synchronize_session=False))


async def settle(session: AsyncSession, attempt: Attempt, actual_nano: int, at: datetime) -> None:
    """Turn what was reserved into what was really charged."""
    await _finish(session, attempt, AttemptState.SETTLED, at, settled_nano=actual_nano)
    await _shift(session, attempt, held=-attempt.reserved_nano, settled=actual_nano)
    await wallets.charge(session, attempt, actual_nano, at)


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
    await wallets.charge(session, attempt, charged_nano, at)


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
    if settled:
        await alerts.note(session, Budget.id.in_(ids))


async def _count(session: AsyncSession, statement: Update) -> int:
    statement = statement.execution_options(synchronize_session=False)
    return cast("CursorResult[Any]", await session.execute(statement)).rowcount
