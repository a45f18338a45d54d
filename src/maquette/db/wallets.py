"""Wallets: a counter of the ledger each, and the books of every movement behind them.

A wallet is the budget `wallet:<user>` under a cap of the same name. The cap is what was put in
(bought, granted, less what was refunded), the counter is what is held and spent; so a hold that
does not fit is refused by the same statement as under any cap. At every commit, for every wallet:
`cap - settled = Σ transfers to the account - Σ transfers from it`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from maquette.core.errors import WrongState
from maquette.db.tables import Attempt, Budget, Cap, CreditTransfer, HoldBudget
from maquette.db.upsert import insert_missing

STRIPE = "stripe"
USAGE = "usage"
ADJUSTMENTS = "adjustments"
_WALLET = "wallet:"


def key(user_id: str) -> str:
    """Name the counter of a person's wallet."""
    return f"{_WALLET}{user_id}"


def account(user_id: str) -> str:
    """Name a person's account in the books."""
    return f"user:{user_id}"


@dataclass(frozen=True)
class Wallet:
    """What a person has; `put_in` less `spent` is theirs, `held` of it is promised to work."""

    put_in_nano: int
    held_nano: int
    spent_nano: int

    @property
    def balance_nano(self) -> int:
        """Less than nothing where more was refunded than was left."""
        return self.put_in_nano - self.spent_nano


async def ensure(session: AsyncSession, user_id: str) -> None:
    """Make a wallet with nothing in it where there is none; else it would have no ceiling."""
    await insert_missing(session, Cap, [{"key": key(user_id), "limit_nano": 0}])


async def look(session: AsyncSession, user_id: str) -> Wallet:
    query = (
        select(Cap.limit_nano, Budget.held_nano, Budget.settled_nano)
        .outerjoin(Budget, Budget.cap_key == Cap.key)
        .where(Cap.key == key(user_id))
    )
    row = (await session.execute(query)).one_or_none()
    return Wallet(0, 0, 0) if row is None else Wallet(row[0], row[1] or 0, row[2] or 0)


async def put_in(session: AsyncSession, user_id: str, transfer: CreditTransfer) -> bool:
    """Book credits into a wallet; False where that was done before."""
    return await _moved(session, user_id, transfer, transfer.amount_nano)


async def take_out(
    session: AsyncSession, user_id: str, transfer: CreditTransfer, *, only_free: bool = False
) -> bool:
    """Book credits out of a wallet, into debt if need be; with `only_free` only what is free.

    False where it was done before.
    """
    return await _moved(session, user_id, transfer, -transfer.amount_nano, only_free=only_free)


async def _moved(
    session: AsyncSession,
    user_id: str,
    transfer: CreditTransfer,
    amount_nano: int,
    *,
    only_free: bool = False,
) -> bool:
    name = key(user_id)
    nothing = {"cap_key": name, "period": "", "held_nano": 0, "settled_nano": 0}
    await insert_missing(session, Budget, [nothing])
    # Locked before its cap, as by whoever places a hold: none is placed on what goes just now.
    counts = select(Budget.held_nano, Budget.settled_nano).where(Budget.cap_key == name)
    held, settled = (await session.execute(counts.with_for_update())).one()
    await ensure(session, user_id)
    known = select(CreditTransfer.id).where(CreditTransfer.reference == transfer.reference)
    if (await session.execute(known)).first() is not None:
        return False
    cap = select(Cap.limit_nano).where(Cap.key == name)
    after = (await session.execute(cap)).scalar_one() + amount_nano
    if only_free and after < held + settled:
        raise WrongState("So many credits are not there, or are held; nothing was changed.")
    await session.execute(update(Cap).where(Cap.key == name).values(limit_nano=max(0, after)))
    if after < 0:  # more went back than was left in it: the rest counts as spent
        debt = update(Budget).where(Budget.cap_key == name)
        await session.execute(debt.values(settled_nano=Budget.settled_nano - after))
    session.add(transfer)
    await session.flush()
    return True


async def charge(session: AsyncSession, attempt: Attempt, amount_nano: int, at: datetime) -> None:
    """Book what a call cost to the person whose wallet its hold counts in, if there is one."""
    if amount_nano == 0:
        return
    payers = (
        select(Budget.cap_key)
        .join(HoldBudget, HoldBudget.budget_id == Budget.id)
        .where(
            HoldBudget.job_id == attempt.job_id,
            HoldBudget.day == attempt.day,
            Budget.cap_key.startswith(_WALLET),
        )
    )
    payer = (await session.execute(payers)).scalar_one_or_none()
    if payer is None:
        return
    session.add(
        CreditTransfer(
            reference=f"attempt:{attempt.id}",
            kind="usage",
            from_account=account(payer.removeprefix(_WALLET)),
            to_account=USAGE,
            amount_nano=amount_nano,
            why=f"{attempt.provider}:{attempt.model}",
            created_at=at,
        )
    )
    await session.flush()


def of_account(name: str) -> ColumnElement[bool]:
    return or_(CreditTransfer.from_account == name, CreditTransfer.to_account == name)


async def page(
    session: AsyncSession, user_id: str, limit: int, before: int | None
) -> Sequence[CreditTransfer]:
    """Return what went in and out of a wallet, newest first."""
    query = select(CreditTransfer).where(of_account(account(user_id)))
    if before is not None:
        query = query.where(CreditTransfer.id < before)
    rows = await session.execute(query.order_by(CreditTransfer.id.desc()).limit(limit))
    return rows.scalars().all()


async def balances(session: AsyncSession) -> dict[str, int]:
    """Sum up the books: what every account holds."""
    sums: dict[str, int] = {}
    for column, sign in ((CreditTransfer.to_account, 1), (CreditTransfer.from_account, -1)):
        query = select(column, func.sum(CreditTransfer.amount_nano)).group_by(column)
        for name, amount in await session.execute(query):
            sums[name] = sums.get(name, 0) + sign * int(amount)
    return sums


async def counted(session: AsyncSession) -> dict[str, Wallet]:
    """Return every wallet as the counters have it, by account."""
    wallet = Cap.key.startswith(_WALLET)
    query = (
        select(Cap.key, Cap.limit_nano, Budget.held_nano, Budget.settled_nano)
        .outerjoin(Budget, Budget.cap_key == Cap.key)
        .where(wallet)
    )
    return {
        account(name.removeprefix(_WALLET)): Wallet(limit, held or 0, settled or 0)
        for name, limit, held, settled in await session.execute(query)
    }


async def misbooked(session: AsyncSession) -> Sequence[tuple[str, int, int]]:
    """Return (attempt, charged, booked) of the calls for which these differ."""
    query = (
        select(Attempt.id, Attempt.settled_nano, CreditTransfer.amount_nano)
        .join(CreditTransfer, CreditTransfer.reference == "attempt:" + Attempt.id)
        .where(CreditTransfer.amount_nano != Attempt.settled_nano)
    )
    rows = await session.execute(query)
    return [(name, charged, booked) for name, charged, booked in rows]
