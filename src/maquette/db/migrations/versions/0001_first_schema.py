"""First schema."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "budgets",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("cap_key", sa.String(length=120), nullable=False),
        sa.Column("period", sa.String(length=10), nullable=False),
        sa.Column("held_nano", sa.BigInteger(), nullable=False),
        sa.Column("settled_nano", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            "held_nano >= 0 AND settled_nano >= 0", name=op.f("ck_budgets_counts_positive")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_budgets")),
        sa.UniqueConstraint("cap_key", "period", name=op.f("uq_budgets_cap_key_period")),
    )
    op.create_table(
        "caps",
        sa.Column("key", sa.String(length=120), nullable=False),
        sa.Column("limit_nano", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("limit_nano >= 0", name=op.f("ck_caps_limit_positive")),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_caps")),
    )
    op.create_table(
        "events",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("project_id", sa.String(length=36), nullable=False),
        sa.Column("run_id", sa.String(length=40), nullable=True),
        sa.Column("job_id", sa.String(length=48), nullable=True),
        sa.Column("kind", sa.String(length=40), nullable=False),
        sa.Column("data", sa.JSON().with_variant(postgresql.JSONB(), "postgresql"), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_events")),
    )
    with op.batch_alter_table("events", schema=None) as batch_op:
        batch_op.create_index("ix_events_run_id_id", ["run_id", "id"], unique=False)

    op.create_table(
        "installation",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("spend_stopped_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("spend_stopped_why", sa.Text(), nullable=True),
        sa.CheckConstraint("id = 1", name=op.f("ck_installation_one_row")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_installation")),
    )
    op.create_table(
        "projects",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("slug", sa.String(length=64), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("root", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_projects")),
        sa.UniqueConstraint("slug", name=op.f("uq_projects_slug")),
    )
    op.create_table(
        "blobs",
        sa.Column("project_id", sa.String(length=36), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("media_type", sa.String(length=64), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("width_px", sa.Integer(), nullable=False),
        sa.Column("height_px", sa.Integer(), nullable=False),
        sa.Column("has_alpha", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name=op.f("fk_blobs_project_id")),
        sa.PrimaryKeyConstraint("project_id", "digest", name=op.f("pk_blobs")),
    )
    op.create_table(
        "runs",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("project_id", sa.String(length=36), nullable=False),
        sa.Column("state", sa.String(length=24), nullable=False),
        sa.Column("root", sa.Text(), nullable=False),
        sa.Column(
            "settings", sa.JSON().with_variant(postgresql.JSONB(), "postgresql"), nullable=False
        ),
        sa.Column(
            "versions", sa.JSON().with_variant(postgresql.JSONB(), "postgresql"), nullable=False
        ),
        sa.Column("replay_of", sa.String(length=40), nullable=True),
        sa.Column("max_spend_nano", sa.BigInteger(), nullable=True),
        sa.Column("worst_case_nano", sa.BigInteger(), nullable=False),
        sa.Column("confirmed", sa.Boolean(), nullable=False),
        sa.Column("foreign", sa.Boolean(), nullable=False),
        sa.Column("cancel_requested_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("log_digest", sa.String(length=64), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "state IN ('queued', 'running', 'awaiting_confirmation', 'succeeded', 'failed', 'failed_output_guard', 'cancelled', 'outcome_unknown')",
            name=op.f("ck_runs_state_known"),
        ),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name=op.f("fk_runs_project_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_runs")),
    )
    with op.batch_alter_table("runs", schema=None) as batch_op:
        batch_op.create_index("ix_runs_project_id_id", ["project_id", "id"], unique=False)

    op.create_table(
        "run_jobs",
        sa.Column("id", sa.String(length=48), nullable=False),
        sa.Column("run_id", sa.String(length=40), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("scene", sa.String(length=200), nullable=False),
        sa.Column("state", sa.String(length=24), nullable=False),
        sa.Column("spec", sa.JSON().with_variant(postgresql.JSONB(), "postgresql"), nullable=False),
        sa.Column("round", sa.Integer(), nullable=False),
        sa.Column("worst_case_nano", sa.BigInteger(), nullable=False),
        sa.Column("error_code", sa.String(length=64), nullable=True),
        sa.Column("error_message", sa.Text(), nullable=True),
        sa.Column("selected_position", sa.Integer(), nullable=True),
        sa.Column("final_asset_id", sa.String(length=36), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "state IN ('queued', 'running', 'awaiting_confirmation', 'succeeded', 'failed', 'failed_output_guard', 'cancelled', 'outcome_unknown')",
            name=op.f("ck_run_jobs_state_known"),
        ),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_run_jobs_run_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_run_jobs")),
        sa.UniqueConstraint("run_id", "position", name=op.f("uq_run_jobs_run_id_position")),
        sa.UniqueConstraint("run_id", "scene", name=op.f("uq_run_jobs_run_id_scene")),
    )
    with op.batch_alter_table("run_jobs", schema=None) as batch_op:
        batch_op.create_index("ix_run_jobs_open", ["state", "created_at"], unique=False)

    op.create_table(
        "assets",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("project_id", sa.String(length=36), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=24), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("job_id", sa.String(length=48), nullable=True),
        sa.Column(
            "made_by", sa.JSON().with_variant(postgresql.JSONB(), "postgresql"), nullable=False
        ),
        sa.Column("cache_key", sa.String(length=64), nullable=True),
        sa.Column("cost_nano", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["run_jobs.id"], name=op.f("fk_assets_job_id")),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name=op.f("fk_assets_project_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_assets")),
    )
    with op.batch_alter_table("assets", schema=None) as batch_op:
        batch_op.create_index("ix_assets_cache_key", ["project_id", "cache_key"], unique=False)
        batch_op.create_index("ix_assets_job_id", ["job_id"], unique=False)
        batch_op.create_index(
            "ix_assets_project_id_created_at_id", ["project_id", "created_at", "id"], unique=False
        )

    op.create_table(
        "attempts",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("job_id", sa.String(length=48), nullable=False),
        sa.Column("call", sa.String(length=64), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("provider", sa.String(length=64), nullable=False),
        sa.Column("endpoint", sa.String(length=64), nullable=False),
        sa.Column("model", sa.String(length=120), nullable=False),
        sa.Column("paid", sa.Boolean(), nullable=False),
        sa.Column("day", sa.String(length=10), nullable=False),
        sa.Column(
            "request", sa.JSON().with_variant(postgresql.JSONB(), "postgresql"), nullable=False
        ),
        sa.Column(
            "effective", sa.JSON().with_variant(postgresql.JSONB(), "postgresql"), nullable=True
        ),
        sa.Column("ticket", sa.Text(), nullable=True),
        sa.Column("reserved_nano", sa.BigInteger(), nullable=False),
        sa.Column("settled_nano", sa.BigInteger(), nullable=False),
        sa.Column("error_code", sa.String(length=64), nullable=True),
        sa.Column("error_message", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "state IN ('reserved', 'sent', 'settled', 'released', 'lost', 'unknown', 'written_off')",
            name=op.f("ck_attempts_state_known"),
        ),
        sa.CheckConstraint(
            "state IN ('settled', 'written_off') OR settled_nano = 0",
            name=op.f("ck_attempts_only_settled_costs"),
        ),
        sa.CheckConstraint(
            "reserved_nano >= 0 AND settled_nano >= 0", name=op.f("ck_attempts_money_positive")
        ),
        sa.ForeignKeyConstraint(["job_id"], ["run_jobs.id"], name=op.f("fk_attempts_job_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_attempts")),
        sa.UniqueConstraint(
            "job_id", "call", "number", name=op.f("uq_attempts_job_id_call_number")
        ),
    )
    with op.batch_alter_table("attempts", schema=None) as batch_op:
        batch_op.create_index("ix_attempts_state", ["state"], unique=False)
        batch_op.create_index(
            "uq_attempts_standing",
            ["job_id", "call"],
            unique=True,
            sqlite_where=sa.text("state IN ('reserved', 'sent', 'settled', 'unknown')"),
            postgresql_where=sa.text("state IN ('reserved', 'sent', 'settled', 'unknown')"),
        )

    op.create_table(
        "holds",
        sa.Column("job_id", sa.String(length=48), nullable=False),
        sa.Column("remaining_nano", sa.BigInteger(), nullable=False),
        sa.Column("is_open", sa.Boolean(), nullable=False),
        sa.Column("day", sa.String(length=10), nullable=False),
        sa.CheckConstraint("is_open OR remaining_nano = 0", name=op.f("ck_holds_closed_is_empty")),
        sa.CheckConstraint("remaining_nano >= 0", name=op.f("ck_holds_remaining_positive")),
        sa.ForeignKeyConstraint(["job_id"], ["run_jobs.id"], name=op.f("fk_holds_job_id")),
        sa.PrimaryKeyConstraint("job_id", name=op.f("pk_holds")),
    )
    op.create_table(
        "steps",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("job_id", sa.String(length=48), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("state", sa.String(length=8), nullable=False),
        sa.Column("starts", sa.Integer(), nullable=False),
        sa.Column(
            "result",
            sa.JSON(none_as_null=True).with_variant(postgresql.JSONB(), "postgresql"),
            nullable=True,
        ),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "(state = 'done') = (result IS NOT NULL)", name=op.f("ck_steps_done_has_result")
        ),
        sa.CheckConstraint("state IN ('running', 'done')", name=op.f("ck_steps_state_known")),
        sa.CheckConstraint("starts >= 1", name=op.f("ck_steps_starts_counted")),
        sa.ForeignKeyConstraint(["job_id"], ["run_jobs.id"], name=op.f("fk_steps_job_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_steps")),
        sa.UniqueConstraint("job_id", "name", name=op.f("uq_steps_job_id_name")),
    )
    op.create_table(
        "asset_parents",
        sa.Column("asset_id", sa.String(length=36), nullable=False),
        sa.Column("parent_id", sa.String(length=36), nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.ForeignKeyConstraint(
            ["asset_id"], ["assets.id"], name=op.f("fk_asset_parents_asset_id")
        ),
        sa.ForeignKeyConstraint(
            ["parent_id"], ["assets.id"], name=op.f("fk_asset_parents_parent_id")
        ),
        sa.PrimaryKeyConstraint("asset_id", "parent_id", "role", name=op.f("pk_asset_parents")),
    )
    with op.batch_alter_table("asset_parents", schema=None) as batch_op:
        batch_op.create_index("ix_asset_parents_parent_id", ["parent_id"], unique=False)

    op.create_table(
        "files",
        sa.Column("project_id", sa.String(length=36), nullable=False),
        sa.Column("path", sa.String(length=500), nullable=False),
        sa.Column("asset_id", sa.String(length=36), nullable=False),
        sa.Column("written_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["asset_id"], ["assets.id"], name=op.f("fk_files_asset_id")),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name=op.f("fk_files_project_id")),
        sa.PrimaryKeyConstraint("project_id", "path", name=op.f("pk_files")),
    )
    op.create_table(
        "hold_budgets",
        sa.Column("job_id", sa.String(length=48), nullable=False),
        sa.Column("day", sa.String(length=10), nullable=False),
        sa.Column(
            "budget_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False
        ),
        sa.ForeignKeyConstraint(
            ["budget_id"], ["budgets.id"], name=op.f("fk_hold_budgets_budget_id")
        ),
        sa.ForeignKeyConstraint(["job_id"], ["holds.job_id"], name=op.f("fk_hold_budgets_job_id")),
        sa.PrimaryKeyConstraint("job_id", "day", "budget_id", name=op.f("pk_hold_budgets")),
    )
    op.create_table(
        "run_job_candidates",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("job_id", sa.String(length=48), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("attempt_id", sa.String(length=36), nullable=False),
        sa.Column("asset_id", sa.String(length=36), nullable=False),
        sa.Column("state", sa.String(length=24), nullable=False),
        sa.Column(
            "verdict", sa.JSON().with_variant(postgresql.JSONB(), "postgresql"), nullable=True
        ),
        sa.Column("selected", sa.Boolean(), nullable=False),
        sa.CheckConstraint(
            "state IN ('new', 'passed', 'failed_output_guard')",
            name=op.f("ck_run_job_candidates_state_known"),
        ),
        sa.ForeignKeyConstraint(
            ["asset_id"], ["assets.id"], name=op.f("fk_run_job_candidates_asset_id")
        ),
        sa.ForeignKeyConstraint(
            ["attempt_id"], ["attempts.id"], name=op.f("fk_run_job_candidates_attempt_id")
        ),
        sa.ForeignKeyConstraint(
            ["job_id"], ["run_jobs.id"], name=op.f("fk_run_job_candidates_job_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_run_job_candidates")),
        sa.UniqueConstraint(
            "job_id", "position", name=op.f("uq_run_job_candidates_job_id_position")
        ),
    )
    with op.batch_alter_table("run_job_candidates", schema=None) as batch_op:
        batch_op.create_index(
            "uq_run_job_candidates_selected",
            ["job_id"],
            unique=True,
            sqlite_where=sa.text("selected"),
            postgresql_where=sa.text("selected"),
        )
