"""WEB-10: wallets never go below nothing, and their books always say what the counters say."""

from __future__ import annotations

import asyncio
import random
from uuid import uuid4

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.exc import DBAPIError

from maquette.core.errors import Conflict, InsufficientCredits, WrongState
from maquette.db import ledger, wallets
from maquette.db.engine import Database
from maquette.db.ledger import Scope
from maquette.db.tables import Attempt, CreditTransfer, Hold, User
from maquette.db.wallets import Wallet
from tests.db.rows import NOW, attempt, job, project, run

TODAY = "2026-03-01"
PRICE = 40_000_000
CROWD = 200
FITS = 40


def scope(person: str = "ann") -> Scope:
    return Scope("p", "r", TODAY, person, from_wallet=True)


@pytest.fixture
async def db(db: Database) -> Database:
    """Two people, and a run with two queued jobs."""
    async with db.write() as session:
        for name in ("ann", "bob"):
            session.add(User(id=name, name=name, role="creator", created_at=NOW))
        for row in (project(), run(), job("j"), job("k", position=1)):
            session.add(row)
            await session.flush()
    return db


def transfer(amount: int, *, out: bool = False, reference: str | None = None) -> CreditTransfer:
    own, other = wallets.account("ann"), wallets.ADJUSTMENTS
    return CreditTransfer(
        reference=reference or f"grant:{uuid4()}",
        kind="correction" if out else "grant",
        from_account=own if out else other,
        to_account=other if out else own,
        amount_nano=amount,
        created_at=NOW,
    )


async def granted(db: Database, amount: int) -> None:
    async with db.write() as session:
        await wallets.put_in(session, "ann", transfer(amount))


async def held(db: Database, amount: int, name: str = "j", whose: Scope | None = None) -> None:
    async with db.write() as session:
        await ledger.place_hold(session, name, amount, whose or scope())


async def look(db: Database) -> Wallet:
    """Return the wallet, once its books were found to say the same."""
    async with db.read() as session:
        found = await wallets.look(session, "ann")
        sums = await wallets.balances(session)
    assert sums.get("user:ann", 0) == found.balance_nano
    assert sum(sums.values()) == 0
    return found


async def test_200_at_once_against_a_wallet_for_40(db: Database) -> None:
    """Exactly 40 are accepted, never one more."""
    await granted(db, FITS * PRICE)
    async with db.write() as session:
        session.add_all([job(f"j{one}", position=one + 2) for one in range(CROWD)])

    async def submit(number: int) -> bool:
        try:
            await held(db, PRICE, f"j{number}")
        except InsufficientCredits:
            return False
        return True

    accepted = await asyncio.gather(*(submit(number) for number in range(CROWD)))
    assert sum(accepted) == FITS
    assert await look(db) == Wallet(FITS * PRICE, FITS * PRICE, 0)
    async with db.read() as session:
        assert (await session.execute(select(func.count(Hold.job_id)))).scalar_one() == FITS


async def test_who_has_no_wallet_has_nothing(db: Database) -> None:
    """A counter without a cap has no ceiling; a wallet without a row is an empty one."""
    with pytest.raises(InsufficientCredits, match=r"there are \$0\.00 of credits"):
        await held(db, 1)
    assert await look(db) == Wallet(0, 0, 0)


async def test_free_work_needs_no_credits(db: Database) -> None:
    await held(db, 0)
    assert await look(db) == Wallet(0, 0, 0)


async def test_the_same_reference_is_booked_once(db: Database) -> None:
    async def book() -> bool:
        async with db.write() as session:
            return await wallets.put_in(session, "ann", transfer(70, reference="purchase:x"))

    assert sorted(await asyncio.gather(*(book() for _ in range(8)))) == [False] * 7 + [True]
    assert await look(db) == Wallet(70, 0, 0)


async def test_what_is_held_cannot_be_taken_back(db: Database) -> None:
    await granted(db, 100)
    await held(db, 60)
    with pytest.raises(WrongState, match="not there, or are held"):
        async with db.write() as session:
            await wallets.take_out(session, "ann", transfer(41, out=True), only_free=True)
    async with db.write() as session:
        await wallets.take_out(session, "ann", transfer(40, out=True), only_free=True)
    assert await look(db) == Wallet(60, 60, 0)


async def test_debt_blocks_spending_until_it_is_paid(db: Database) -> None:
    """A refund after the credits were spent, and after a correction, leaves less than nothing."""
    await granted(db, 100)
    async with db.write() as session:
        await wallets.take_out(session, "ann", transfer(90, out=True), only_free=True)
        await wallets.take_out(session, "ann", transfer(50, out=True))
    assert (await look(db)).balance_nano == -40
    with pytest.raises(InsufficientCredits, match="are owed"):
        await held(db, 1)
    await granted(db, 45)
    with pytest.raises(InsufficientCredits):
        await held(db, 6)
    await held(db, 5)
    assert (await look(db)).balance_nano == 5


async def test_a_call_is_booked_to_who_began_it(db: Database) -> None:
    await granted(db, 100)
    await held(db, 70)
    made = attempt(reserved_nano=70)
    async with db.write() as session:
        await ledger.reserve(session, made)
        await ledger.settle(session, made, 40, NOW)
        await ledger.close_hold(session, "j")
        line = (await wallets.page(session, "ann", 1, None))[0]
    assert await look(db) == Wallet(100, 0, 40)
    assert (line.reference, line.amount_nano, line.why) == (f"attempt:{made.id}", 40, "x:m")


async def test_an_unknown_call_that_a_person_writes_off_is_booked(db: Database) -> None:
    await granted(db, 100)
    await held(db, 70)
    made = attempt(reserved_nano=70)
    async with db.write() as session:
        await ledger.reserve(session, made)
        await ledger.mark_unknown(session, made, NOW, "lost")
        await ledger.close_hold(session, "j")
    assert await look(db) == Wallet(100, 70, 0)
    async with db.write() as session:
        await ledger.write_off(session, made, 70, NOW)
    assert await look(db) == Wallet(100, 0, 70)


async def test_another_who_goes_on_does_not_pay_for_what_is_under_way(db: Database) -> None:
    """Else the first one's call would be settled in the second one's wallet as well."""
    await granted(db, 100)
    async with db.write() as session:
        more = transfer(100)
        more.to_account = wallets.account("bob")
        await wallets.put_in(session, "bob", more)
    await held(db, 70)
    made = attempt(reserved_nano=40)
    async with db.write() as session:
        await ledger.reserve(session, made)
        await ledger.mark_sent(session, made.id, paid=True, at=NOW)
        await ledger.close_hold(session, "j")
    with pytest.raises(Conflict, match="under way"):
        await held(db, 30, whose=scope("bob"))
    await held(db, 30)
    async with db.write() as session:
        await ledger.settle(session, made, 40, NOW)
        await ledger.close_hold(session, "j")
    await held(db, 30, whose=scope("bob"))
    assert await look(db) == Wallet(100, 0, 40)
    async with db.read() as session:
        assert await wallets.look(session, "bob") == Wallet(100, 30, 0)


class Walk:
    """Moves credits at random, and keeps books of its own beside the ledger's."""

    def __init__(self, db: Database, seed: int) -> None:
        self.db = db
        self.chance = random.Random(seed)  # noqa: S311 - a repeatable shuffle
        self.remaining: dict[str, int] = {}
        self.open: list[Attempt] = []
        self.calls = 0

    async def step(self) -> None:
        often = (self.hold, self.hold, self.reserve, self.reserve, self.reserve)
        moves = (*often, self.grant, self.refund, self.end, self.close)
        move = self.chance.choice(moves)
        await move(self.chance.choice("jk"), self.chance.randint(1, 60))
        undecided = sum(one.reserved_nano for one in self.open)
        assert (await look(self.db)).held_nano == sum(self.remaining.values()) + undecided

    async def grant(self, _name: str, amount: int) -> None:
        await granted(self.db, amount)

    async def refund(self, _name: str, amount: int) -> None:
        async with self.db.write() as session:
            await wallets.take_out(session, "ann", transfer(amount // 4 + 1, out=True))

    async def hold(self, name: str, amount: int) -> None:
        if name in self.remaining:
            return
        before = await look(self.db)
        try:
            await held(self.db, amount, name)
            self.remaining[name] = amount
        except InsufficientCredits:
            pass
        assert (name in self.remaining) is (before.balance_nano - before.held_nano >= amount)

    async def reserve(self, name: str, amount: int) -> None:
        amount = amount // 5 + 1
        if self.remaining.get(name, 0) < amount:
            return
        self.calls += 1
        made = attempt(job_id=name, call=f"call.{self.calls}", reserved_nano=amount)
        async with self.db.write() as session:
            await ledger.reserve(session, made)
        self.remaining[name] -= amount
        self.open.append(made)

    async def end(self, _name: str, amount: int) -> None:
        if not self.open:
            return
        made = self.open.pop(self.chance.randrange(len(self.open)))
        async with self.db.write() as session:
            if amount % 4:
                charged = self.chance.randint(0, made.reserved_nano)
                await ledger.settle(session, made, charged, NOW)
                return
            await ledger.release(session, made, NOW)
        if made.job_id in self.remaining:
            self.remaining[made.job_id] += made.reserved_nano

    async def close(self, name: str, _amount: int) -> None:
        if self.remaining.pop(name, None) is not None:
            async with self.db.write() as session:
                await ledger.close_hold(session, name)


@pytest.mark.parametrize("seed", [1, 2])
async def test_whatever_happens_the_books_say_what_the_counters_say(
    db: Database, seed: int
) -> None:
    await granted(db, 200)
    walk = Walk(db, seed)
    for _ in range(60):
        await walk.step()
    assert walk.calls > 3


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE credit_transfers SET amount_nano = 1",
        "UPDATE credit_transfers SET to_account = 'user:bob'",
        "DELETE FROM credit_transfers",
    ],
)
async def test_the_books_are_only_added_to(db: Database, change: str) -> None:
    await granted(db, 100)
    with pytest.raises(DBAPIError, match="append-only"):
        async with db.write() as session:
            await session.execute(text(change))
    assert await look(db) == Wallet(100, 0, 0)


async def test_holds_and_refunds_at_once_leave_no_hold_on_nothing(db: Database) -> None:
    """A hold is placed before a refund, and stays, or after it, and is refused."""
    await granted(db, 10 * PRICE)
    async with db.write() as session:
        session.add_all([job(f"j{one}", position=one + 2) for one in range(20)])
    told: list[str] = []

    async def hold(number: int) -> None:
        try:
            await held(db, PRICE, f"j{number}")
            told.append("held")
        except InsufficientCredits:
            told.append("refused")

    async def back() -> None:
        async with db.write() as session:
            taken = transfer(PRICE, out=True)
            try:
                await wallets.take_out(session, "ann", taken, only_free=True)
                told.append("taken")
            except WrongState:
                told.append("kept")

    await asyncio.gather(*(hold(one) for one in range(20)), *(back() for _ in range(10)))
    now = await look(db)
    assert told.count("held") + told.count("taken") == 10
    assert now == Wallet((10 - told.count("taken")) * PRICE, told.count("held") * PRICE, 0)
