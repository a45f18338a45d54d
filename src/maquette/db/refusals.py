"""Why a hold was refused, in words: the first cap that was in the way."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from maquette.core import money
from maquette.core.errors import BudgetExceeded, InsufficientCredits, SpendRefused, SpendStopped
from maquette.db import caps
from maquette.db.tables import Budget


def stopped() -> SpendStopped:
    return SpendStopped(
        "Spending is stopped for the whole installation, so nothing was sent. "
        "`maquette spend resume` allows it again."
    )


async def early(
    session: AsyncSession, counters: Sequence[tuple[str, str]], amount_nano: int
) -> None:
    """Refuse what does not fit now without waiting for those that are being counted.

    A crowd before a full cap would else stand in line for the counters one by one, each with a
    connection in its hand. What passes here is looked at again where it counts.
    """
    over = select(Budget.id).where(
        tuple_(Budget.cap_key, Budget.period).in_(counters),
        Budget.held_nano + Budget.settled_nano + amount_nano > caps.limit(),
    )
    full = list((await session.execute(over)).scalars())
    if full:
        raise await over_budget(session, full, amount_nano)


async def over_budget(
    session: AsyncSession, ids: Sequence[int], amount_nano: int, role_day_nano: int | None = None
) -> SpendRefused:
    """Say which of the counters has no room for the amount."""
    limit = caps.limit()
    query = select(
        Budget.cap_key,
        Budget.period,
        Budget.held_nano,
        Budget.settled_nano,
        limit.label("limit_nano"),
    ).where(Budget.id.in_(ids), Budget.held_nano + Budget.settled_nano + amount_nano > limit)
    row = (await session.execute(query)).first()
    if row is None and role_day_nano is not None:
        most = money.show(money.from_nano(role_day_nano))
        return BudgetExceeded(
            f"Your role may spend {most} in a day, and the next job does not fit, so nothing was "
            "sent. An administrator can raise it, or set a cap of your own.",
            cap="role-day",
        )
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
    if kind == "wallet":
        return _short_of_credits(row.limit_nano - row.settled_nano, **show)
    way_out = (
        "Raise it, or ask for fewer pictures."
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


def _short_of_credits(
    balance_nano: int, asked: str, held: str, **_more: str
) -> InsufficientCredits:
    balance = money.show(money.from_nano(abs(balance_nano)))
    has = f"there are {balance} of credits" if balance_nano >= 0 else f"{balance} are owed"
    return InsufficientCredits(
        f"The next job may cost {asked} and {has}, {held} of them held, so nothing was sent. Buy "
        "credits (POST /api/credits/checkout), or ask an administrator for a grant.",
        balance_nano=balance_nano,
    )
