"""What watching the spending needs: whose each call was, at what price, and which caps fill up."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_COLUMNS = (
    "ALTER TABLE attempts ADD COLUMN project_id VARCHAR(36) CONSTRAINT fk_attempts_project_id REFERENCES projects (id)",
    "ALTER TABLE attempts ADD COLUMN user_id VARCHAR(36) CONSTRAINT fk_attempts_user_id REFERENCES users (id)",
    "ALTER TABLE holds ADD COLUMN user_id VARCHAR(36)",
    "ALTER TABLE past_spending ADD COLUMN user_id VARCHAR(36)",
)

_WHOSE = """
    UPDATE {table} SET user_id = (
        SELECT MIN(users.id) FROM hold_budgets
        JOIN budgets ON budgets.id = hold_budgets.budget_id
        JOIN users ON budgets.cap_key = 'user:' || users.id
        WHERE hold_budgets.job_id = {table}.job_id AND hold_budgets.day = {table}.day
    )
"""
"""The counters know it: each hold names those that it counts in."""

_PROJECT = """
    UPDATE attempts SET project_id = (
        SELECT runs.project_id FROM run_jobs JOIN runs ON runs.id = run_jobs.run_id
        WHERE run_jobs.id = attempts.job_id AND NOT runs."foreign"
    )
"""
"""Of calls that were made here: what came in an archive or a log counts in no books."""

_DAY = {
    True: "UPDATE attempts SET day = substr(sent_at, 1, 10) WHERE day = '' AND sent_at IS NOT NULL",
    False: (
        "UPDATE attempts SET day = to_char(sent_at AT TIME ZONE 'UTC', 'YYYY-MM-DD') "
        "WHERE day = '' AND sent_at IS NOT NULL"
    ),
}
"""Of calls that nothing was held for: those of other installations, and free ones."""


def upgrade() -> None:
    for sql in _COLUMNS:
        op.execute(sql)
    kind = sa.JSON(none_as_null=True).with_variant(
        postgresql.JSONB(none_as_null=True), "postgresql"
    )
    op.add_column("attempts", sa.Column("priced_by", kind, nullable=True))
    for sql in (_PROJECT, *(_WHOSE.format(table=table) for table in ("attempts", "holds"))):
        op.execute(sql)
    op.execute(_DAY[op.get_bind().dialect.name == "sqlite"])
    _index_attempts()
    _make_alerts()


def _index_attempts() -> None:
    names = ("day", "project_id", "user_id", "provider", "model", "paid", "state")
    sent = sa.text("sent_at IS NOT NULL")
    op.create_index(
        "ix_attempts_spent",
        "attempts",
        [*names, "reserved_nano", "settled_nano"],
        sqlite_where=sent,
        postgresql_where=sent,
    )
    op.create_index("ix_attempts_sent_at", "attempts", ["sent_at", "id"])


def _make_alerts() -> None:
    serial = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    moment = sa.DateTime(timezone=True)
    op.create_table(
        "cap_alerts",
        sa.Column("id", serial, nullable=False),
        sa.Column("cap_key", sa.String(length=120), nullable=False),
        sa.Column("period", sa.String(length=10), nullable=False),
        sa.Column("percent", sa.Integer(), nullable=False),
        sa.Column("limit_nano", sa.BigInteger(), nullable=False),
        sa.Column("used_nano", sa.BigInteger(), nullable=False),
        sa.Column("at", moment, nullable=False),
        sa.Column("told_at", moment, nullable=True),
        sa.Column("rearmed_at", moment, nullable=True),
        sa.CheckConstraint("percent IN (50, 80, 100)", name=op.f("ck_cap_alerts_percent_known")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_cap_alerts")),
    )
    standing, due = sa.text("rearmed_at IS NULL"), sa.text("told_at IS NULL")
    op.create_index(
        "uq_cap_alerts_standing",
        "cap_alerts",
        ["cap_key", "period", "percent"],
        unique=True,
        sqlite_where=standing,
        postgresql_where=standing,
    )
    op.create_index(
        "ix_cap_alerts_due", "cap_alerts", ["id"], sqlite_where=due, postgresql_where=due
    )
