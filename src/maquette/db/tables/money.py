"""Money: every call's, the ceilings, the counters under them, and what is held."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Index,
    String,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from maquette.core.states import AttemptState
from maquette.db.base import Base, Serial, one_of


class Attempt(Base):
    """One provider call and its money."""

    __tablename__ = "attempts"
    __table_args__ = (
        one_of("state", AttemptState),
        CheckConstraint("reserved_nano >= 0 AND settled_nano >= 0", name="money_positive"),
        CheckConstraint(
            "state IN ('settled', 'written_off') OR settled_nano = 0", name="only_settled_costs"
        ),
        UniqueConstraint("job_id", "call", "number"),
        Index(
            "uq_attempts_standing",
            "job_id",
            "call",
            unique=True,
            sqlite_where=text("state IN ('reserved', 'sent', 'settled', 'unknown')"),
            postgresql_where=text("state IN ('reserved', 'sent', 'settled', 'unknown')"),
        ),
        Index("ix_attempts_state", "state"),
        Index(
            "ix_attempts_spent",
            "day",
            "project_id",
            "user_id",
            "provider",
            "model",
            "paid",
            "state",
            "reserved_nano",
            "settled_nano",
            sqlite_where=text("sent_at IS NOT NULL"),
            postgresql_where=text("sent_at IS NOT NULL"),
        ),
        Index("ix_attempts_sent_at", "sent_at", "id"),
    )

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    job_id: Mapped[str] = mapped_column(ForeignKey("run_jobs.id"))
    project_id: Mapped[str | None] = mapped_column(ForeignKey("projects.id"))
    """Its run's; here too, so that a report joins nothing. None: it came in an archive or a log,
    and its money counts in no books here."""
    user_id: Mapped[str | None] = mapped_column(ForeignKey("users.id"))
    """Whose counters its money counts in; None: nobody's, as from the command line."""
    call: Mapped[str] = mapped_column(String(64))
    """The step that makes the call: at most one standing attempt each."""
    number: Mapped[int]
    state: Mapped[str] = mapped_column(String(16))
    provider: Mapped[str] = mapped_column(String(64))
    endpoint: Mapped[str] = mapped_column(String(64))
    model: Mapped[str] = mapped_column(String(120))
    paid: Mapped[bool]
    day: Mapped[str] = mapped_column(String(10), default="")
    """The day of the hold it was reserved from; its money counts there to the end."""
    request: Mapped[dict[str, Any]]
    effective: Mapped[dict[str, Any] | None]
    usage: Mapped[dict[str, Any] | None] = mapped_column(
        JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")
    )
    """What the call used, as the provider counts it: tokens by kind."""
    priced_by: Mapped[dict[str, Any] | None] = mapped_column(
        JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")
    )
    """The price at the time: its day, where it comes from, its numbers."""
    ticket: Mapped[str | None] = mapped_column(Text)
    reserved_nano: Mapped[int] = mapped_column(BigInteger)
    settled_nano: Mapped[int] = mapped_column(BigInteger, default=0)
    error_code: Mapped[str | None] = mapped_column(String(64))
    error_message: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime]
    sent_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]


class Cap(Base):
    """A ceiling that a person set; no row, no ceiling."""

    __tablename__ = "caps"
    __table_args__ = (CheckConstraint("limit_nano >= 0", name="limit_positive"),)

    key: Mapped[str] = mapped_column(String(120), primary_key=True)
    """`installation`, `day`, `project:<id>`, `project-day:<id>`, `user:<id>`, `user-day:<id>`,
    `run:<id>`; `project-day` and `user-day` alone hold for all that have none of their own."""
    limit_nano: Mapped[int] = mapped_column(BigInteger)


class Budget(Base):
    """A counter under a cap: what is held and what is spent."""

    __tablename__ = "budgets"
    __table_args__ = (
        CheckConstraint("held_nano >= 0 AND settled_nano >= 0", name="counts_positive"),
        UniqueConstraint("cap_key", "period"),
    )

    id: Mapped[int] = mapped_column(Serial, primary_key=True)
    cap_key: Mapped[str] = mapped_column(String(120))
    period: Mapped[str] = mapped_column(String(10))
    """The date in the installation's timezone for `day` and its like, else empty."""
    held_nano: Mapped[int] = mapped_column(BigInteger)
    settled_nano: Mapped[int] = mapped_column(BigInteger)


class CapAlert(Base):
    """A share of a cap that was reached: noted once, until it is not reached any more."""

    __tablename__ = "cap_alerts"
    __table_args__ = (
        CheckConstraint("percent IN (50, 80, 100)", name="percent_known"),
        Index(
            "uq_cap_alerts_standing",
            "cap_key",
            "period",
            "percent",
            unique=True,
            sqlite_where=text("rearmed_at IS NULL"),
            postgresql_where=text("rearmed_at IS NULL"),
        ),
        Index(
            "ix_cap_alerts_due",
            "id",
            sqlite_where=text("told_at IS NULL"),
            postgresql_where=text("told_at IS NULL"),
        ),
    )

    id: Mapped[int] = mapped_column(Serial, primary_key=True)
    cap_key: Mapped[str] = mapped_column(String(120))
    period: Mapped[str] = mapped_column(String(10))
    percent: Mapped[int]
    limit_nano: Mapped[int] = mapped_column(BigInteger)
    used_nano: Mapped[int] = mapped_column(BigInteger)
    """At that moment."""
    at: Mapped[datetime]
    told_at: Mapped[datetime | None]
    """When the installation's address was told, or would have been."""
    rearmed_at: Mapped[datetime | None]
    """When the cap was raised so far that it may be reached anew."""


class Hold(Base):
    """The part of a job's worst case that no attempt has taken yet."""

    __tablename__ = "holds"
    __table_args__ = (
        CheckConstraint("remaining_nano >= 0", name="remaining_positive"),
        CheckConstraint("is_open OR remaining_nano = 0", name="closed_is_empty"),
    )

    job_id: Mapped[str] = mapped_column(ForeignKey("run_jobs.id"), primary_key=True)
    remaining_nano: Mapped[int] = mapped_column(BigInteger)
    is_open: Mapped[bool]
    day: Mapped[str] = mapped_column(String(10))
    user_id: Mapped[str | None] = mapped_column(String(36))
    """Whose counters it counts in. No foreign key: it is written where the counters are locked."""


class HoldBudget(Base):
    """Which counters a job's hold of one day, and the attempts made from it, count in."""

    __tablename__ = "hold_budgets"

    job_id: Mapped[str] = mapped_column(ForeignKey("holds.job_id"), primary_key=True)
    day: Mapped[str] = mapped_column(String(10), primary_key=True)
    budget_id: Mapped[int] = mapped_column(ForeignKey("budgets.id"), primary_key=True)


class PastSpending(Base):
    """What the calls of a run cost whose project was deleted; the books go on telling of it."""

    __tablename__ = "past_spending"

    run_id: Mapped[str] = mapped_column(String(40), primary_key=True)
    day: Mapped[str] = mapped_column(String(10), primary_key=True)
    provider: Mapped[str] = mapped_column(String(64), primary_key=True)
    model: Mapped[str] = mapped_column(String(120), primary_key=True)
    project: Mapped[str] = mapped_column(String(64))
    """The slug that it had."""
    user_id: Mapped[str | None] = mapped_column(String(36))
    """Who spent it; None: nobody, or several."""
    calls: Mapped[int]
    estimated_nano: Mapped[int] = mapped_column(BigInteger)
    settled_nano: Mapped[int] = mapped_column(BigInteger)
