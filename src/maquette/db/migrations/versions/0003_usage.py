"""What a call used, as its provider counts it, and pictures that are only borrowed."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    kind = sa.JSON(none_as_null=True).with_variant(
        postgresql.JSONB(none_as_null=True), "postgresql"
    )
    op.add_column("attempts", sa.Column("usage", kind, nullable=True))
    op.create_table(
        "borrowed_assets",
        sa.Column("asset_id", sa.String(length=36), nullable=False),
        sa.Column("project_id", sa.String(length=36), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("asset_id", name=op.f("pk_borrowed_assets")),
    )
    op.create_index("ix_borrowed_assets_created_at", "borrowed_assets", ["created_at"])
