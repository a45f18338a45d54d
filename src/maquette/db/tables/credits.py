"""Credits: who bought them, what was paid back, and every movement between accounts."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from maquette.db.base import Base, Serial


class CreditTransfer(Base):
    """Credits that went from one account to another; never changed, never deleted.

    One row is both entries of the books: what an account gets, another gives, so that all accounts
    together hold nothing at any time.
    """

    __tablename__ = "credit_transfers"
    __table_args__ = (
        CheckConstraint("amount_nano > 0", name="amount_positive"),
        CheckConstraint("from_account <> to_account", name="accounts_differ"),
        CheckConstraint(
            "kind IN ('purchase', 'refund', 'returned', 'grant', 'correction', 'usage')",
            name="kind_known",
        ),
        Index("ix_credit_transfers_from_account_id", "from_account", "id"),
        Index("ix_credit_transfers_to_account_id", "to_account", "id"),
    )

    id: Mapped[int] = mapped_column(Serial, primary_key=True)
    reference: Mapped[str] = mapped_column(String(120), unique=True)
    """What it was for, so that it is booked once: `purchase:<id>`, `attempt:<id>` …"""
    kind: Mapped[str] = mapped_column(String(12))
    from_account: Mapped[str] = mapped_column(String(48))
    """`user:<id>`, `stripe`, `usage` or `adjustments`."""
    to_account: Mapped[str] = mapped_column(String(48))
    amount_nano: Mapped[int] = mapped_column(BigInteger)
    why: Mapped[str | None] = mapped_column(Text)
    by_id: Mapped[str | None] = mapped_column(ForeignKey("users.id"))
    """The administrator who granted it."""
    created_at: Mapped[datetime]


class CreditPurchase(Base):
    """A pack that somebody wants, at its price of that moment: what is credited when it is paid."""

    __tablename__ = "credit_purchases"
    __table_args__ = (
        CheckConstraint("price_minor > 0 AND credits_nano > 0", name="worth_something"),
        CheckConstraint(
            "withdrawn_nano >= 0 AND withdrawn_nano <= credits_nano", name="withdrawn_within"
        ),
        CheckConstraint("state = 'paid' OR withdrawn_nano = 0", name="only_paid_withdrawn"),
        CheckConstraint(
            "state IN ('open', 'pending', 'paid', 'failed', 'expired')", name="state_known"
        ),
        Index("ix_credit_purchases_user_id", "user_id"),
    )

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    user_id: Mapped[str] = mapped_column(ForeignKey("users.id"))
    pack: Mapped[str] = mapped_column(String(40))
    price_minor: Mapped[int] = mapped_column(BigInteger)
    """In the smallest unit of the currency."""
    currency: Mapped[str] = mapped_column(String(3))
    credits_nano: Mapped[int] = mapped_column(BigInteger)
    state: Mapped[str] = mapped_column(String(8))
    session_id: Mapped[str | None] = mapped_column(String(255), unique=True)
    """Of the page at Stripe."""
    payment_intent: Mapped[str | None] = mapped_column(String(255), unique=True)
    withdrawn_nano: Mapped[int] = mapped_column(BigInteger, default=0)
    """What refunds and disputes took back."""
    problem: Mapped[str | None] = mapped_column(Text)
    """What somebody has to look at: Stripe tells of other money than was asked for."""
    created_at: Mapped[datetime]
    paid_at: Mapped[datetime | None]


class CreditReversal(Base):
    """Money that went back, as Stripe told it last; it may be told before the payment is."""

    __tablename__ = "credit_reversals"
    __table_args__ = (
        CheckConstraint("minor >= 0", name="minor_positive"),
        Index("ix_credit_reversals_payment_intent", "payment_intent"),
        Index("ix_credit_reversals_purchase_id", "purchase_id"),
    )

    id: Mapped[str] = mapped_column(String(255), primary_key=True)
    """`charge:`, `refund:` or `dispute:`, and Stripe's own name of it."""
    payment_intent: Mapped[str | None] = mapped_column(String(255))
    purchase_id: Mapped[str | None] = mapped_column(String(36))
    """As the charge names it; whether there is one is seen when it is used."""
    minor: Mapped[int] = mapped_column(BigInteger)
    currency: Mapped[str] = mapped_column(String(3))
    final: Mapped[bool]
    """A dispute that was decided, or a refund that failed; what is told of it later is older."""
    told_at: Mapped[datetime]
