"""Caps, the kill switch, the report, and decisions on calls whose outcome is unknown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from maquette.core import money
from maquette.core.errors import BadParameter, Conflict, NotFound
from maquette.core.money import Usd
from maquette.core.states import AttemptState
from maquette.db import events, leaving, ledger, projects
from maquette.db.tables import Attempt, Job, Project, Run
from maquette.services import metering
from maquette.services.studio import Studio


@dataclass(frozen=True)
class Meter:
    """A cap, and how full it is."""

    scope: str
    limit: Usd | None
    held: Usd
    spent: Usd


async def meters(studio: Studio) -> list[Meter]:
    """Return the installation, today and every project, with or without a cap."""
    today = studio.shop.clock.today()
    async with studio.shop.db.read() as session:
        limits = await ledger.caps(session)
        rows = [("installation", "installation", ""), ("day", f"day {today}", today)]
        rows += [
            (f"project:{one.id}", f"project {one.slug}", "")
            for one in await projects.everyone(session)
        ]
        found: list[Meter] = []
        for key, name, period in rows:
            held, spent = await ledger.budget(session, key, period)
            limit = limits.get(key)
            found.append(
                Meter(
                    name,
                    None if limit is None else money.from_nano(limit),
                    money.from_nano(held),
                    money.from_nano(spent),
                )
            )
    return found


async def set_cap(studio: Studio, scope: str, limit: Usd | None) -> None:
    """Set a ceiling for `installation`, `day` or `project:SLUG`; None takes it away."""
    nano = None if limit is None else int(money.to_nano(limit))
    async with studio.shop.db.write() as session:
        await ledger.set_cap(session, await _cap_key(session, scope), nano)


async def _cap_key(session: AsyncSession, scope: str) -> str:
    kind, _, slug = scope.partition(":")
    if kind == "project" and slug:
        return f"project:{(await projects.by_slug(session, slug)).id}"
    if scope in ("installation", "day"):
        return scope
    raise BadParameter(f"{scope!r} has no cap; write installation, day or project:SLUG.")


async def stop(studio: Studio, why: str | None) -> None:
    """Throw the kill switch: no paid call goes out until it is taken back."""
    async with studio.shop.db.write() as session:
        await ledger.stop_spending(session, studio.shop.clock.now(), why)


async def allow(studio: Studio) -> None:
    async with studio.shop.db.write() as session:
        await ledger.stop_spending(session, None, None)


async def stopped_since(studio: Studio) -> datetime | None:
    async with studio.shop.db.read() as session:
        row = await ledger.stopped(session)
        return None if row is None else row.spend_stopped_at


async def stopped_why(studio: Studio) -> str | None:
    async with studio.shop.db.read() as session:
        row = await ledger.stopped(session)
        return None if row is None else row.spend_stopped_why


@dataclass(frozen=True)
class Spent:
    """One line of the report."""

    day: str
    project: str
    provider: str
    model: str
    calls: int
    estimated: Usd
    actual: Usd
    unknown: Usd


async def report(studio: Studio, project: str | None = None) -> list[Spent]:
    """Sum up every call that was sent, by day, project and model; also of deleted projects."""
    query = (
        select(Attempt, Project.slug)
        .join(Job, Job.id == Attempt.job_id)
        .join(Run, Run.id == Job.run_id)
        .join(Project, Project.id == Run.project_id)
        .where(Attempt.sent_at.is_not(None), Attempt.paid)
        .order_by(Attempt.sent_at)
    )
    if project is not None:
        query = query.where(Project.slug == project)
    lines: dict[tuple[str, str, str, str], list[int]] = {}
    async with studio.shop.db.read() as session:
        for attempt, slug in await session.execute(query):
            day = studio.shop.clock.day_of(attempt.sent_at or attempt.created_at)
            sums = lines.setdefault((day, slug, attempt.provider, attempt.model), [0, 0, 0, 0])
            charged = attempt.state in {AttemptState.SETTLED, AttemptState.WRITTEN_OFF}
            sums[0] += 1
            sums[1] += attempt.reserved_nano if charged else 0
            sums[2] += attempt.settled_nano
            sums[3] += attempt.reserved_nano if attempt.state == AttemptState.UNKNOWN else 0
        for past in await leaving.past(session, project):
            key = (past.day, past.project, past.provider, past.model)
            sums = lines.setdefault(key, [0, 0, 0, 0])
            for place, more in enumerate((past.calls, past.estimated_nano, past.settled_nano)):
                sums[place] += more
    return [
        Spent(*key, sums[0], *(money.from_nano(amount) for amount in sums[1:]))
        for key, sums in sorted(lines.items(), reverse=True)
    ]


@dataclass(frozen=True)
class Undecided:
    """A paid call whose answer was lost."""

    attempt: str
    run: str
    scene: str
    provider: str
    model: str
    reserved: Usd
    sent_at: datetime | None
    why: str


async def undecided(studio: Studio) -> Sequence[Undecided]:
    await metering.put_in_order(studio)
    query = (
        select(Attempt, Job)
        .join(Job, Job.id == Attempt.job_id)
        .where(Attempt.state == AttemptState.UNKNOWN.value)
        .order_by(Attempt.sent_at, Attempt.id)
    )
    async with studio.shop.db.read() as session:
        return [
            Undecided(
                attempt=one.id,
                run=job.run_id,
                scene=job.scene,
                provider=one.provider,
                model=one.model,
                reserved=money.from_nano(one.reserved_nano),
                sent_at=one.sent_at,
                why=one.error_message or "",
            )
            for one, job in (await session.execute(query))
        ]


async def decide(studio: Studio, attempt_id: str, *, charged: bool, amount: Usd | None) -> None:
    """Settle an unknown call as a person found it on the provider's own account page."""
    async with studio.shop.db.write() as session:
        query = select(Attempt).where(Attempt.id.startswith(attempt_id)).limit(2)
        found = (await session.execute(query)).scalars().all()
        if len(found) != 1:
            raise NotFound(
                f"No single attempt is called {attempt_id!r}. `maquette spend unknown` lists them."
            )
        attempt = found[0]
        if attempt.state != AttemptState.UNKNOWN:
            raise Conflict(f"Attempt {attempt.id} is {attempt.state}; there is nothing to decide.")
        now = studio.shop.clock.now()
        if charged:
            nano = attempt.reserved_nano if amount is None else money.to_nano(amount)
            await ledger.write_off(session, attempt, nano, now)
        else:
            await ledger.release(session, attempt, now)
        job = await session.get_one(Job, attempt.job_id)
        run = await session.get_one(Run, job.run_id)
        events.record(
            session,
            "decided",
            project_id=run.project_id,
            run_id=run.id,
            job_id=job.id,
            at=now,
            attempt=attempt.id,
            charged=charged,
        )
