"""Wallets, and the ledger behind them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "credit_transfers",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("reference", sa.String(length=120), nullable=False),
        sa.Column("kind", sa.String(length=12), nullable=False),
        sa.Column("from_account", sa.String(length=48), nullable=False),
        sa.Column("to_account", sa.String(length=48), nullable=False),
        sa.Column("amount_nano", sa.BigInteger(), nullable=False),
        sa.Column("why", sa.Text(), nullable=True),
        sa.Column("by_id", sa.String(length=36), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("amount_nano > 0", name=op.f("ck_credit_transfers_amount_positive")),
        sa.CheckConstraint(
            "from_account <> to_account", name=op.f("ck_credit_transfers_accounts_differ")
        ),
        sa.CheckConstraint(
            "kind IN ('purchase', 'refund', 'returned', 'grant', 'correction', 'usage')",
            name=op.f("ck_credit_transfers_kind_known"),
        ),
        sa.ForeignKeyConstraint(["by_id"], ["users.id"], name=op.f("fk_credit_transfers_by_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_credit_transfers")),
        sa.UniqueConstraint("reference", name=op.f("uq_credit_transfers_reference")),
    )
    for side in ("from_account", "to_account"):
        op.create_index(f"ix_credit_transfers_{side}_id", "credit_transfers", [side, "id"])
    op.create_table(
        "credit_purchases",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("user_id", sa.String(length=36), nullable=False),
        sa.Column("pack", sa.String(length=40), nullable=False),
        sa.Column("price_minor", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("credits_nano", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(length=8), nullable=False),
        sa.Column("session_id", sa.String(length=255), nullable=True),
        sa.Column("payment_intent", sa.String(length=255), nullable=True),
        sa.Column("withdrawn_nano", sa.BigInteger(), nullable=False),
        sa.Column("problem", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("paid_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "price_minor > 0 AND credits_nano > 0",
            name=op.f("ck_credit_purchases_worth_something"),
        ),
        sa.CheckConstraint(
            "withdrawn_nano >= 0 AND withdrawn_nano <= credits_nano",
            name=op.f("ck_credit_purchases_withdrawn_within"),
        ),
        sa.CheckConstraint(
            "state = 'paid' OR withdrawn_nano = 0",
            name=op.f("ck_credit_purchases_only_paid_withdrawn"),
        ),
        sa.CheckConstraint(
            "state IN ('open', 'pending', 'paid', 'failed', 'expired')",
            name=op.f("ck_credit_purchases_state_known"),
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_credit_purchases_user_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_credit_purchases")),
        sa.UniqueConstraint("session_id", name=op.f("uq_credit_purchases_session_id")),
        sa.UniqueConstraint("payment_intent", name=op.f("uq_credit_purchases_payment_intent")),
    )
    op.create_index("ix_credit_purchases_user_id", "credit_purchases", ["user_id"])
    op.create_table(
        "credit_reversals",
        sa.Column("id", sa.String(length=255), nullable=False),
        sa.Column("payment_intent", sa.String(length=255), nullable=True),
        sa.Column("purchase_id", sa.String(length=36), nullable=True),
        sa.Column("minor", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("final", sa.Boolean(), nullable=False),
        sa.Column("told_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("minor >= 0", name=op.f("ck_credit_reversals_minor_positive")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_credit_reversals")),
    )
    for column in ("payment_intent", "purchase_id"):
        op.create_index(f"ix_credit_reversals_{column}", "credit_reversals", [column])
    for statement in _APPEND_ONLY[op.get_bind().dialect.name == "sqlite"]:
        op.execute(statement)


# The books are added to and never changed; only words about people can be taken away.
_MONEY = "id, reference, kind, from_account, to_account, amount_nano, created_at"
_APPEND_ONLY = {
    True: tuple(
        f"""CREATE TRIGGER credit_transfers_not_{name} BEFORE {event} ON credit_transfers BEGIN
            SELECT RAISE(ABORT, 'credit_transfers is append-only');
        END"""
        for name, event in (("changed", f"UPDATE OF {_MONEY}"), ("deleted", "DELETE"))
    ),
    False: (
        """CREATE FUNCTION credit_transfers_refuse() RETURNS trigger AS $$ BEGIN
            RAISE EXCEPTION 'credit_transfers is append-only';
        END $$ LANGUAGE plpgsql""",
        *(
            f"CREATE TRIGGER credit_transfers_not_{name} BEFORE {event} ON credit_transfers "
            "FOR EACH ROW EXECUTE FUNCTION credit_transfers_refuse()"
            for name, event in (("changed", f"UPDATE OF {_MONEY}"), ("deleted", "DELETE"))
        ),
    ),
}
