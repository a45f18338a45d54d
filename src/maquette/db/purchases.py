"""Purchases of credits, and the money that goes back."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

from sqlalchemy import exists, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from maquette.db.tables import CreditPurchase, CreditReversal, CreditTransfer, Installation
from maquette.db.upsert import insert_missing

Kind = Literal["charge", "refund", "dispute"]


async def one_after_another(session: AsyncSession) -> None:
    """Let messages wait for each other: a refund and its payment may come at the same moment."""
    await insert_missing(session, Installation, [{"id": 1}])
    await session.execute(select(Installation.id).where(Installation.id == 1).with_for_update())


async def get(session: AsyncSession, purchase_id: str) -> CreditPurchase | None:
    """Return a purchase that nobody else may change before this transaction ends."""
    query = select(CreditPurchase).where(CreditPurchase.id == purchase_id).with_for_update()
    return (await session.execute(query)).scalar_one_or_none()


async def paid_by(session: AsyncSession, payment_intent: str) -> CreditPurchase | None:
    query = select(CreditPurchase).where(CreditPurchase.payment_intent == payment_intent)
    return (await session.execute(query.with_for_update())).scalar_one_or_none()


async def remember(session: AsyncSession, told: CreditReversal, *, is_sum: bool) -> CreditReversal:
    """Keep what was told of money that went back.

    A sum only grows, so a smaller one is older; else what is told last counts, until it is final.
    """
    known = await session.get(CreditReversal, told.id)
    if known is None:
        session.add(told)
        await session.flush()
        return told
    if not known.final:
        known.minor = max(known.minor, told.minor) if is_sum else told.minor
        known.final = told.final
        known.told_at = told.told_at
    known.payment_intent = known.payment_intent or told.payment_intent
    known.purchase_id = known.purchase_id or told.purchase_id
    await session.flush()
    return known


def key(kind: Kind, name: str) -> str:
    """Name the row of a charge's sum of refunds, of one refund, or of a dispute."""
    return f"{kind}:{name}"[:255]


async def reversed_minor(session: AsyncSession, purchase: CreditPurchase) -> int:
    """Sum up what went back of a purchase's money, at most all of it.

    Refunds are told of twice: each by itself, and in the charge's sum, where those that failed
    later were counted once. Both only come up to the truth as more is told, so the larger counts.
    """
    mine = CreditReversal.purchase_id == purchase.id
    if purchase.payment_intent is not None:
        unnamed = CreditReversal.payment_intent.is_(None)
        mine = or_(mine & unnamed, CreditReversal.payment_intent == purchase.payment_intent)
    query = select(CreditReversal).where(mine, CreditReversal.currency == purchase.currency)
    told = (await session.execute(query)).scalars().all()

    def total(kind: Kind, *, final: bool | None = None) -> int:
        found = (one for one in told if one.id.startswith(f"{kind}:"))
        return sum(one.minor for one in found if final in (None, one.final))

    failed = total("refund", final=True)
    refunded = max(total("refund", final=False), total("charge") - failed)
    return min(purchase.price_minor, refunded + total("dispute"))


async def has_paid(session: AsyncSession, user_id: str) -> bool:
    """Say whether a person has bought credits that were not all refunded."""
    bought = exists().where(
        CreditPurchase.user_id == user_id,
        CreditPurchase.state == "paid",
        CreditPurchase.withdrawn_nano < CreditPurchase.credits_nano,
    )
    return bool((await session.execute(select(bought))).scalar_one())


async def problems(session: AsyncSession) -> Sequence[CreditPurchase]:
    """Return the purchases that somebody has to look at."""
    query = select(CreditPurchase).where(CreditPurchase.problem.is_not(None))
    return (await session.execute(query.order_by(CreditPurchase.created_at))).scalars().all()


async def misbooked(session: AsyncSession) -> Sequence[str]:
    """Return the purchases whose transfers are not what they say."""
    bought = select(CreditTransfer.amount_nano).where(
        CreditTransfer.reference == "purchase:" + CreditPurchase.id
    )
    due = select(CreditPurchase.id).where(
        or_(
            (CreditPurchase.state == "paid")
            & (func.coalesce(bought.scalar_subquery(), 0) != CreditPurchase.credits_nano),
            (CreditPurchase.state != "paid") & bought.exists(),
        )
    )
    return (await session.execute(due)).scalars().all()


def paid(purchase: CreditPurchase, payment_intent: str | None, at: datetime) -> None:
    """Note that it is paid."""
    purchase.state = "paid"
    purchase.payment_intent = payment_intent
    purchase.paid_at = at


async def movements(session: AsyncSession, purchase_id: str) -> int:
    """Count how often credits of a purchase were taken back, or given back again."""
    query = select(func.count(CreditTransfer.id)).where(
        CreditTransfer.reference.startswith(f"reversal:{purchase_id}:")
    )
    return int((await session.execute(query)).scalar_one())
