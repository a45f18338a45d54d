"""The ledger's invariant, after every move of any sequence that Hypothesis can think of."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar, cast

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from maquette.core.errors import BudgetExceeded
from maquette.db import ledger
from maquette.db.engine import Database
from maquette.db.ledger import Scope
from maquette.db.tables import Attempt, Base, Budget, Hold, HoldBudget
from tests.db.rows import NOW, attempt, job, project, run

JOBS = {"a": ("p0", "r0"), "b": ("p0", "r0"), "c": ("p1", "r1"), "d": ("p1", "r1")}
DAYS = ("2026-03-01", "2026-03-02")
COUNTED = ("reserved", "sent", "unknown")
Counter = tuple[str, str]
T = TypeVar("T")

amounts = st.integers(1, 60)
picks = st.integers(0, 999)


def picked(items: list[T], pick: int) -> T:
    return items[pick % len(items)]


class LedgerMachine(RuleBasedStateMachine):
    """Moves money at random, and keeps books of its own beside the ledger's."""

    def __init__(self, runner: asyncio.Runner, db: Database) -> None:
        super().__init__()
        self.runner = runner
        self.db = db
        self.remaining: dict[str, int] = {}
        """What is left of the open holds."""
        self.scopes: dict[str, Scope] = {}
        """Where each job's money counts since it was held last."""
        self.open: dict[str, list[Attempt]] = {state: [] for state in COUNTED}
        """The undecided attempts."""
        self.spent: dict[Counter, int] = {}
        self.caps: dict[str, int] = {}
        self.made = 0

    @initialize(total=st.integers(50, 200), day=st.integers(30, 150), first=st.integers(0, 99))
    def begin(self, total: int, day: int, first: int) -> None:
        self.caps = {"installation": total, "day": day, "project:p0": first, "run:r1": 80}
        self.do(self._begin)

    async def _begin(self, session: AsyncSession) -> None:
        for table in reversed(Base.metadata.sorted_tables):
            await session.execute(table.delete())
        session.add_all([project("p0"), project("p1")])
        await session.flush()
        session.add_all([run("r0", project_id="p0"), run("r1", project_id="p1")])
        await session.flush()
        for position, (name, (_, run_id)) in enumerate(JOBS.items()):
            session.add(job(name, run_id=run_id, position=position))
        for key, limit in self.caps.items():
            await ledger.set_cap(session, key, limit)

    @rule(name=st.sampled_from(sorted(JOBS)), amount=amounts, day=st.sampled_from(DAYS))
    def hold(self, name: str, amount: int, day: str) -> None:
        """A job begins, or begins again; it never does while calls of it are undecided."""
        if name in self.remaining or name in {one.job_id for one in self.undecided()}:
            return
        scope = Scope(*JOBS[name], day)
        held = self.held()
        fits = all(
            held.get(counter, 0) + self.spent.get(counter, 0) + amount
            <= self.caps.get(counter[0], 10**9)
            for counter in scope.counters()
        )
        assert self.accepts(lambda session: ledger.place_hold(session, name, amount, scope)) is fits
        if fits:
            self.remaining[name] = amount
            self.scopes[name] = scope

    @precondition(lambda self: self.remaining)
    @rule(pick=picks, amount=st.integers(0, 60))
    def reserve(self, pick: int, amount: int) -> None:
        name = picked(list(self.remaining), pick)
        self.made += 1
        made = attempt(job_id=name, call=f"call.{self.made}", reserved_nano=amount)
        fits = amount <= self.remaining[name]
        assert self.accepts(lambda session: ledger.reserve(session, made)) is fits
        if fits:
            self.remaining[name] -= amount
            self.open["reserved"].append(made)

    @precondition(lambda self: self.open["reserved"])
    @rule(pick=picks)
    def send(self, pick: int) -> None:
        made = self.take(["reserved"], pick)
        self.do(lambda session: ledger.mark_sent(session, made.id, paid=True, at=NOW))
        self.open["sent"].append(made)

    @precondition(lambda self: self.open["sent"])
    @rule(pick=picks, share=st.integers(0, 100))
    def settle(self, pick: int, share: int) -> None:
        made = self.take(["sent"], pick)
        charged = made.reserved_nano * share // 100
        self.do(lambda session: ledger.settle(session, made, charged, NOW))
        self.charge(made, charged)

    @precondition(lambda self: self.undecided())
    @rule(pick=picks)
    def release(self, pick: int) -> None:
        """A call failed uncharged, was never sent, or a person found that it was not charged."""
        made = self.take([state for state in COUNTED if self.open[state]], pick)
        self.do(lambda session: ledger.release(session, made, NOW))
        if made.job_id in self.remaining:
            self.remaining[made.job_id] += made.reserved_nano

    @precondition(lambda self: self.open["sent"])
    @rule(pick=picks)
    def lose(self, pick: int) -> None:
        made = self.take(["sent"], pick)
        self.do(lambda session: ledger.mark_unknown(session, made, NOW, "lost"))
        self.open["unknown"].append(made)

    @precondition(lambda self: self.open["unknown"])
    @rule(pick=picks, share=st.integers(0, 100))
    def write_off(self, pick: int, share: int) -> None:
        made = self.take(["unknown"], pick)
        charged = made.reserved_nano * share // 100
        self.do(lambda session: ledger.write_off(session, made, charged, NOW))
        self.charge(made, charged)

    @precondition(lambda self: self.remaining)
    @rule(pick=picks)
    def close(self, pick: int) -> None:
        name = picked(list(self.remaining), pick)
        self.do(lambda session: ledger.close_hold(session, name))
        del self.remaining[name]

    @invariant()
    def held_is_what_is_open(self) -> None:
        """The docstring's equation, asked of the rows themselves."""
        for row in self.runner.run(self._equation()):
            assert row[1] == row[2], row

    async def _equation(self) -> list[tuple[int, int, int]]:
        holds = (
            select(func.coalesce(func.sum(Hold.remaining_nano), 0))
            .join(HoldBudget, HoldBudget.job_id == Hold.job_id)
            .where(Hold.is_open, HoldBudget.day == Hold.day, HoldBudget.budget_id == Budget.id)
            .correlate(Budget)
            .scalar_subquery()
        )
        taken = (
            select(func.coalesce(func.sum(Attempt.reserved_nano), 0))
            .join(HoldBudget, HoldBudget.job_id == Attempt.job_id)
            .where(
                Attempt.state.in_(COUNTED),
                HoldBudget.day == Attempt.day,
                HoldBudget.budget_id == Budget.id,
            )
            .correlate(Budget)
            .scalar_subquery()
        )
        async with self.db.read() as session:
            rows = await session.execute(select(Budget.id, Budget.held_nano, holds + taken))
            return [(int(one), int(there), int(due)) for one, there, due in rows]

    @invariant()
    def every_counter_is_as_in_our_books(self) -> None:
        counted = self.runner.run(self._counted())
        held = self.held()
        for counter, (there, spent) in counted.items():
            assert (there, spent) == (held.get(counter, 0), self.spent.get(counter, 0)), counter

    @invariant()
    def no_counter_is_over_its_cap(self) -> None:
        for (key, _), (held, spent) in self.runner.run(self._counted()).items():
            assert held + spent <= self.caps.get(key, 10**9), key

    async def _counted(self) -> dict[Counter, tuple[int, int]]:
        query = select(Budget.cap_key, Budget.period, Budget.held_nano, Budget.settled_nano)
        async with self.db.read() as session:
            rows = await session.execute(query)
            return {(key, period): (held, spent) for key, period, held, spent in rows}

    def held(self) -> dict[Counter, int]:
        """Sum up our own books."""
        sums: dict[Counter, int] = {}
        parts = [(name, left) for name, left in self.remaining.items()]
        parts += [(one.job_id, one.reserved_nano) for one in self.undecided()]
        for name, amount in parts:
            for counter in self.scopes[name].counters():
                sums[counter] = sums.get(counter, 0) + amount
        return sums

    def undecided(self) -> list[Attempt]:
        return [one for state in COUNTED for one in self.open[state]]

    def take(self, states: list[str], pick: int) -> Attempt:
        place = self.open[picked(states, pick)]
        return place.pop(pick % len(place))

    def charge(self, made: Attempt, amount: int) -> None:
        for counter in self.scopes[made.job_id].counters():
            self.spent[counter] = self.spent.get(counter, 0) + amount

    def do(self, move: Callable[[AsyncSession], Awaitable[None]]) -> None:
        """Make a move in a transaction of its own."""

        async def moved() -> None:
            async with self._write() as session:
                await move(session)

        self.runner.run(moved())

    def accepts(self, move: Callable[[AsyncSession], Awaitable[None]]) -> bool:
        try:
            self.do(move)
        except BudgetExceeded:
            return False
        return True

    @asynccontextmanager
    async def _write(self) -> AsyncGenerator[AsyncSession]:
        async with self.db.write() as session:
            yield session


def test_money_is_conserved_whatever_happens(url: str) -> None:
    """LAB-14, WEB-9: held = open holds + undecided attempts, and no cap is passed, ever."""
    with asyncio.Runner() as runner:
        db = Database(url)
        try:
            run_state_machine_as_test(
                cast("Any", lambda: LedgerMachine(runner, db)),
                settings=settings(max_examples=25, stateful_step_count=25, deadline=None),
            )
        finally:
            runner.run(db.close())
