"""Money under concurrency: caps hold to the cent, and nobody waits for each other in a ring."""

from __future__ import annotations

import asyncio
import random

import pytest
from sqlalchemy import func, select

from maquette.core.errors import BudgetExceeded
from maquette.db import ledger
from maquette.db.engine import Database
from maquette.db.ledger import Scope
from maquette.db.tables import Attempt, Budget, Hold
from tests.db.rows import NOW, attempt, job, project, run

CROWD = 500
FITS = 100
PRICE = 40_000_000


async def crowded(db: Database, jobs: int, runs: int = 4) -> list[Scope]:
    """Write two projects, their runs and jobs; return each job's scope by its number."""
    async with db.write() as session:
        session.add_all([project("p0"), project("p1")])
        await session.flush()
        session.add_all([run(f"r{one}", project_id=f"p{one % 2}") for one in range(runs)])
        await session.flush()
        session.add_all(
            [job(f"j{one}", run_id=f"r{one % runs}", position=one) for one in range(jobs)]
        )
    return [Scope(f"p{one % runs % 2}", f"r{one % runs}", "2026-03-01") for one in range(jobs)]


@pytest.mark.parametrize("key", ["installation", "day"])
async def test_500_at_once_against_a_cap_for_100(db: Database, key: str) -> None:
    """WEB-9: exactly 100 are accepted, never a cent above."""
    scopes = await crowded(db, CROWD)
    async with db.write() as session:
        await ledger.set_cap(session, key, FITS * PRICE)

    async def submit(number: int) -> bool:
        try:
            async with db.write() as session:
                await ledger.place_hold(session, f"j{number}", PRICE, scopes[number])
        except BudgetExceeded:
            return False
        return True

    accepted = await asyncio.gather(*(submit(number) for number in range(CROWD)))
    assert sum(accepted) == FITS
    async with db.read() as session:
        period = "2026-03-01" if key == "day" else ""
        assert await ledger.budget(session, key, period) == (FITS * PRICE, 0)
        assert (await session.execute(select(func.count(Hold.job_id)))).scalar_one() == FITS


async def test_whole_lives_at_once_end_with_nothing_held(db: Database) -> None:
    """Submissions, settlements, releases and endings cross in every order without a deadlock."""
    scopes = await crowded(db, 60)
    charged: list[int] = []

    async def live(number: int) -> None:
        chance = random.Random(number)  # noqa: S311 - a repeatable shuffle
        name = f"j{number}"
        async with db.write() as session:
            await ledger.place_hold(session, name, 3 * PRICE, scopes[number])
        for call in range(3):
            made = attempt(job_id=name, call=f"generate.{call}", reserved_nano=PRICE)
            async with db.write() as session:
                await ledger.reserve(session, made)
            async with db.write() as session:
                await ledger.mark_sent(session, made.id, paid=True, at=NOW)
            async with db.write() as session:
                if chance.random() < 0.5:
                    await ledger.settle(session, made, PRICE, NOW)
                    charged.append(PRICE)
                else:
                    await ledger.release(session, made, NOW)
        async with db.write() as session:
            await ledger.close_hold(session, name)

    await asyncio.gather(*(live(number) for number in range(60)))
    async with db.read() as session:
        assert await ledger.budget(session, "installation") == (0, sum(charged))
        held = (await session.execute(select(func.sum(Budget.held_nano)))).scalar_one()
        assert held == 0


async def test_two_deciders_of_one_attempt_count_it_once(db: Database) -> None:
    scopes = await crowded(db, 1)
    made = attempt(job_id="j0", reserved_nano=PRICE)
    async with db.write() as session:
        await ledger.place_hold(session, "j0", PRICE, scopes[0])
        await ledger.reserve(session, made)

    async def decide() -> None:
        async with db.write() as session:
            await ledger.settle(session, made, PRICE, NOW)

    outcomes = await asyncio.gather(*(decide() for _ in range(8)), return_exceptions=True)
    assert sum(outcome is None for outcome in outcomes) == 1
    async with db.read() as session:
        assert await ledger.budget(session, "installation") == (0, PRICE)


async def test_one_attempt_is_sent_by_one_of_many(db: Database) -> None:
    """D2: at most one payment."""
    scopes = await crowded(db, 1)
    made = attempt(job_id="j0", reserved_nano=PRICE)
    async with db.write() as session:
        await ledger.place_hold(session, "j0", PRICE, scopes[0])
        await ledger.reserve(session, made)

    async def send() -> None:
        async with db.write() as session:
            await ledger.mark_sent(session, made.id, paid=True, at=NOW)

    outcomes = await asyncio.gather(*(send() for _ in range(8)), return_exceptions=True)
    assert sum(outcome is None for outcome in outcomes) == 1
    async with db.read() as session:
        assert (await session.get_one(Attempt, made.id)).state == "sent"
