"""Single moves of money, each on both databases."""

from __future__ import annotations

import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from maquette.core.errors import BudgetExceeded, Conflict, SpendStopped
from maquette.core.states import AttemptState
from maquette.db import ledger
from maquette.db.engine import Database
from maquette.db.ledger import Scope
from maquette.db.tables import Attempt
from tests.db.rows import NOW, attempt, job, project, run

TODAY = Scope("p", "r", "2026-03-01")
TOMORROW = Scope("p", "r", "2026-03-02")


@pytest.fixture
async def db(db: Database) -> Database:
    """Two queued jobs of one run."""
    async with db.write() as session:
        for row in (project(), run(), job("j"), job("k", position=1)):
            session.add(row)
            await session.flush()
    return db


async def held(db: Database, amount: int, name: str = "j", scope: Scope = TODAY) -> None:
    async with db.write() as session:
        await ledger.place_hold(session, name, amount, scope)


async def reserved(db: Database, amount: int, **values: object) -> Attempt:
    made = attempt(reserved_nano=amount, **values)
    async with db.write() as session:
        await ledger.reserve(session, made)
    return made


async def sent(db: Database, made: Attempt) -> None:
    async with db.write() as session:
        await ledger.mark_sent(session, made.id, made.paid, NOW)


async def counted(db: Database, key: str = "installation", period: str = "") -> tuple[int, int]:
    async with db.read() as session:
        return await ledger.budget(session, key, period)


async def capped(db: Database, key: str, limit: int | None) -> None:
    async with db.write() as session:
        await ledger.set_cap(session, key, limit)


async def state_of(session: AsyncSession, made: Attempt) -> str:
    return (await session.get_one(Attempt, made.id)).state


async def test_a_hold_counts_in_every_counter(db: Database) -> None:
    await held(db, 70)
    for key, period in TODAY.counters():
        assert await counted(db, key, period) == (70, 0)


async def test_settling_moves_from_held_to_spent(db: Database) -> None:
    """LAB-14: what was reserved and not charged goes back when the job ends."""
    await held(db, 70)
    made = await reserved(db, 50)
    await sent(db, made)
    async with db.write() as session:
        await ledger.settle(session, made, 40, NOW)
    assert await counted(db) == (20, 40)
    async with db.write() as session:
        await ledger.close_hold(session, "j")
    assert await counted(db) == (0, 40)


async def test_releasing_gives_back_to_the_open_hold(db: Database) -> None:
    await held(db, 70)
    made = await reserved(db, 70)
    async with db.write() as session:
        await ledger.release(session, made, NOW)
    await reserved(db, 70, number=2)
    assert await counted(db) == (70, 0)


async def test_releasing_after_the_job_ended_gives_back_to_the_caps(db: Database) -> None:
    await held(db, 70)
    made = await reserved(db, 50)
    async with db.write() as session:
        await ledger.mark_unknown(session, made, NOW, "lost")
        await ledger.close_hold(session, "j")
    assert await counted(db) == (50, 0)
    async with db.write() as session:
        await ledger.release(session, made, NOW)
    assert await counted(db) == (0, 0)


async def test_a_write_off_counts_what_a_person_says(db: Database) -> None:
    await held(db, 70)
    made = await reserved(db, 70)
    async with db.write() as session:
        await ledger.mark_unknown(session, made, NOW, "lost")
        await ledger.close_hold(session, "j")
        await ledger.write_off(session, made, 60, NOW)
    assert await counted(db) == (0, 60)


async def test_closing_twice_frees_once(db: Database) -> None:
    await held(db, 70)
    for _ in range(2):
        async with db.write() as session:
            await ledger.close_hold(session, "j")
    assert await counted(db) == (0, 0)


async def test_an_attempt_is_decided_once(db: Database) -> None:
    await held(db, 70)
    made = await reserved(db, 70)
    async with db.write() as session:
        await ledger.settle(session, made, 70, NOW)
    with pytest.raises(Conflict, match="already decided"):
        async with db.write() as session:
            await ledger.release(session, made, NOW)
    assert await counted(db) == (0, 70)


async def test_an_attempt_is_sent_once(db: Database) -> None:
    """D2: the second sender of the same attempt is stopped at the door."""
    await held(db, 70)
    made = await reserved(db, 70)
    await sent(db, made)
    with pytest.raises(Conflict, match="not waiting to be sent"):
        await sent(db, made)


async def test_a_call_dearer_than_planned_is_not_made(db: Database) -> None:
    await held(db, 70)
    with pytest.raises(BudgetExceeded, match="has less than"):
        await reserved(db, 71)
    assert await counted(db) == (70, 0)


async def test_a_charge_above_the_estimate_is_told_truly(db: Database) -> None:
    """What was charged is counted, even past the cap; then nothing more fits."""
    await capped(db, "installation", 70)
    await held(db, 70)
    made = await reserved(db, 70)
    async with db.write() as session:
        await ledger.settle(session, made, 90, NOW)
    assert await counted(db) == (0, 90)
    with pytest.raises(BudgetExceeded):
        await held(db, 1, "k")


@pytest.mark.parametrize("key", ["installation", "day", "project:p", "run:r"])
async def test_each_cap_holds_to_the_last_nano(db: Database, key: str) -> None:
    """LAB-14, WEB-9: exactly the cap fits, one more does not, and a refusal leaves no trace."""
    await capped(db, key, 100)
    with pytest.raises(BudgetExceeded, match="nothing was sent"):
        await held(db, 101)
    for name, period in TODAY.counters():
        assert await counted(db, name, period) == (0, 0)
    await held(db, 100)
    with pytest.raises(BudgetExceeded):
        await held(db, 1, "k")


async def test_a_refusal_names_the_cap_and_the_figures(db: Database) -> None:
    await capped(db, "day", 50_000_000)
    with pytest.raises(BudgetExceeded, match=r"day cap of 2026-03-01 of \$0\.05") as caught:
        await held(db, 70_000_000)
    assert caught.value.facts == {"cap": "day"}


async def test_a_cap_that_is_taken_away_refuses_nothing(db: Database) -> None:
    await capped(db, "installation", 10)
    await capped(db, "installation", None)
    await held(db, 70)
    assert await counted(db) == (70, 0)


async def test_a_cap_set_later_counts_what_was_spent_before(db: Database) -> None:
    await held(db, 70)
    await capped(db, "installation", 100)
    with pytest.raises(BudgetExceeded):
        await held(db, 31, "k")


async def test_each_day_has_a_counter_of_its_own(db: Database) -> None:
    """WEB-9: tomorrow's money is not today's."""
    await capped(db, "day", 70)
    await held(db, 70, "j", TODAY)
    await held(db, 70, "k", TOMORROW)
    assert await counted(db, "day", "2026-03-01") == (70, 0)
    assert await counted(db, "day", "2026-03-02") == (70, 0)


async def test_a_charge_falls_on_the_holds_day(db: Database) -> None:
    """D2: a call that settles after midnight counts on the day of its hold."""
    await held(db, 70, "j", TODAY)
    made = await reserved(db, 70)
    async with db.write() as session:
        await ledger.settle(session, made, 70, NOW.replace(day=2))
    assert await counted(db, "day", "2026-03-01") == (0, 70)


async def test_a_reopened_job_counts_on_the_new_day(db: Database) -> None:
    await held(db, 70, "j", TODAY)
    async with db.write() as session:
        await ledger.close_hold(session, "j")
    await held(db, 30, "j", TOMORROW)
    assert await counted(db, "day", "2026-03-01") == (0, 0)
    assert await counted(db, "day", "2026-03-02") == (30, 0)


async def test_an_attempt_keeps_its_day_when_its_job_is_reopened(db: Database) -> None:
    """A call that was left without an answer settles where it was held, days later."""
    await held(db, 70, "j", TODAY)
    made = await reserved(db, 40)
    await sent(db, made)
    async with db.write() as session:
        await ledger.close_hold(session, "j")
    await held(db, 30, "j", TOMORROW)
    async with db.write() as session:
        await ledger.settle(session, made, 35, NOW.replace(day=2))
    assert await counted(db, "day", "2026-03-01") == (0, 35)
    assert await counted(db, "day", "2026-03-02") == (30, 0)
    assert await counted(db) == (30, 35)


async def test_free_work_needs_no_hold(db: Database) -> None:
    await capped(db, "installation", 0)
    await held(db, 0)
    made = await reserved(db, 0, paid=False)
    await sent(db, made)
    async with db.write() as session:
        await ledger.settle(session, made, 0, NOW)
    assert await counted(db) == (0, 0)


async def test_the_kill_switch_refuses_new_holds_and_calls(db: Database) -> None:
    """LAB-14, WEB-9: neither a new job nor a queued one spends."""
    await held(db, 70)
    made = await reserved(db, 70)
    async with db.write() as session:
        await ledger.stop_spending(session, NOW, "enough")
    with pytest.raises(SpendStopped, match="maquette spend resume"):
        await held(db, 1, "k")
    with pytest.raises(SpendStopped):
        await sent(db, made)
    async with db.read() as session:
        assert await state_of(session, made) == AttemptState.RESERVED


async def test_the_kill_switch_lets_free_calls_go(db: Database) -> None:
    made = await reserved(db, 0, paid=False)
    async with db.write() as session:
        await ledger.stop_spending(session, NOW, None)
    await sent(db, made)
    async with db.read() as session:
        assert await state_of(session, made) == AttemptState.SENT


async def test_what_was_sent_settles_though_spending_is_stopped(db: Database) -> None:
    await held(db, 70)
    made = await reserved(db, 70)
    await sent(db, made)
    async with db.write() as session:
        await ledger.stop_spending(session, NOW, None)
        await ledger.settle(session, made, 70, NOW)
    assert await counted(db) == (0, 70)


async def test_the_kill_switch_can_be_taken_back(db: Database) -> None:
    async with db.write() as session:
        await ledger.stop_spending(session, NOW, None)
        await ledger.stop_spending(session, None, None)
        assert await ledger.stopped(session) is None
    await held(db, 70)
    assert await counted(db) == (70, 0)
