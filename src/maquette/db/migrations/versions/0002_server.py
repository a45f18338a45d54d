"""What the server needs: people, the library, instructions, talk, secrets, searching."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "idempotency_keys",
        sa.Column("caller", sa.String(length=64), nullable=False),
        sa.Column("key", sa.String(length=255), nullable=False),
        sa.Column("route", sa.String(length=200), nullable=False),
        sa.Column("body_hash", sa.String(length=64), nullable=False),
        sa.Column("state", sa.String(length=8), nullable=False),
        sa.Column("resource", sa.String(length=120), nullable=True),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("reply", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "state IN ('working', 'done')", name=op.f("ck_idempotency_keys_state_known")
        ),
        sa.PrimaryKeyConstraint("caller", "key", name=op.f("pk_idempotency_keys")),
    )
    op.create_index("ix_idempotency_keys_expires_at", "idempotency_keys", ["expires_at"])

    op.create_table(
        "past_spending",
        sa.Column("run_id", sa.String(length=40), nullable=False),
        sa.Column("day", sa.String(length=10), nullable=False),
        sa.Column("provider", sa.String(length=64), nullable=False),
        sa.Column("model", sa.String(length=120), nullable=False),
        sa.Column("project", sa.String(length=64), nullable=False),
        sa.Column("calls", sa.Integer(), nullable=False),
        sa.Column("estimated_nano", sa.BigInteger(), nullable=False),
        sa.Column("settled_nano", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint(
            "run_id", "day", "provider", "model", name=op.f("pk_past_spending")
        ),
    )
    op.create_table(
        "users",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("role", sa.String(length=8), nullable=False),
        sa.Column("password_hash", sa.Text(), nullable=True),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("verified", sa.Boolean(), nullable=False),
        sa.Column("quota_bytes", sa.BigInteger(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("disabled_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "role IN ('admin', 'creator', 'viewer')", name=op.f("ck_users_role_known")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_users")),
        sa.UniqueConstraint("name", name=op.f("uq_users_name")),
    )
    op.create_table(
        "notices",
        sa.Column("run_id", sa.String(length=40), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("run_id", name=op.f("pk_notices")),
    )
    op.create_table(
        "workers",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("name", sa.String(length=120), nullable=False),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("beat_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "state IN ('working', 'standing_by')", name=op.f("ck_workers_state_known")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_workers")),
    )
    op.create_table(
        "api_keys",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("user_id", sa.String(length=36), nullable=False),
        sa.Column("name", sa.String(length=120), nullable=False),
        sa.Column("prefix", sa.String(length=16), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.Column(
            "scopes", sa.JSON().with_variant(postgresql.JSONB(), "postgresql"), nullable=False
        ),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_used_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_api_keys_user_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_keys")),
        sa.UniqueConstraint("hash", name=op.f("uq_api_keys_hash")),
    )
    op.create_index("ix_api_keys_user_id", "api_keys", ["user_id"])

    op.create_table(
        "login_sessions",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("user_id", sa.String(length=36), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_used_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_login_sessions_user_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_login_sessions")),
    )
    op.create_index("ix_login_sessions_user_id", "login_sessions", ["user_id"])

    op.create_table(
        "chat_sessions",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("project_id", sa.String(length=36), nullable=False),
        sa.Column("user_id", sa.String(length=36), nullable=True),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name=op.f("fk_chat_sessions_project_id")
        ),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_chat_sessions_user_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_chat_sessions")),
    )
    op.create_index(
        "ix_chat_sessions_project_id_created_at",
        "chat_sessions",
        ["project_id", "created_at", "id"],
    )

    op.create_table(
        "memberships",
        sa.Column("project_id", sa.String(length=36), nullable=False),
        sa.Column("user_id", sa.String(length=36), nullable=False),
        sa.Column("role", sa.String(length=8), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "role IN ('owner', 'editor', 'viewer')", name=op.f("ck_memberships_role_known")
        ),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name=op.f("fk_memberships_project_id")
        ),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_memberships_user_id")),
        sa.PrimaryKeyConstraint("project_id", "user_id", name=op.f("pk_memberships")),
    )
    op.create_index("ix_memberships_user_id", "memberships", ["user_id"])

    op.create_table(
        "project_api_secrets",
        sa.Column("project_id", sa.String(length=36), nullable=False),
        sa.Column("provider", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("key_id", sa.String(length=16), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name=op.f("fk_project_api_secrets_project_id")
        ),
        sa.PrimaryKeyConstraint(
            "project_id", "provider", "name", name=op.f("pk_project_api_secrets")
        ),
    )
    op.create_table(
        "project_exports",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("project_id", sa.String(length=36), nullable=False),
        sa.Column("user_id", sa.String(length=36), nullable=True),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=True),
        sa.Column("sha256", sa.String(length=64), nullable=True),
        sa.Column("error_message", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "state IN ('running', 'succeeded', 'failed')",
            name=op.f("ck_project_exports_state_known"),
        ),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name=op.f("fk_project_exports_project_id")
        ),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_project_exports_user_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_project_exports")),
    )
    op.create_index(
        "ix_project_exports_project_id", "project_exports", ["project_id", "created_at"]
    )

    op.create_table(
        "project_snapshots",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("project_id", sa.String(length=36), nullable=False),
        sa.Column("user_id", sa.String(length=36), nullable=True),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column(
            "counts", sa.JSON().with_variant(postgresql.JSONB(), "postgresql"), nullable=False
        ),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name=op.f("fk_project_snapshots_project_id")
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_project_snapshots_user_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_project_snapshots")),
    )
    op.create_index(
        "ix_project_snapshots_project_id", "project_snapshots", ["project_id", "created_at"]
    )

    op.create_table(
        "voice_requests",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("project_id", sa.String(length=36), nullable=False),
        sa.Column("user_id", sa.String(length=36), nullable=True),
        sa.Column("kind", sa.String(length=3), nullable=False),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("text", sa.Text(), nullable=True),
        sa.Column("audio_digest", sa.String(length=64), nullable=True),
        sa.Column("audio_media_type", sa.String(length=64), nullable=True),
        sa.Column("audio_bytes", sa.Integer(), nullable=True),
        sa.Column("data", sa.JSON().with_variant(postgresql.JSONB(), "postgresql"), nullable=False),
        sa.Column("cost_nano", sa.BigInteger(), nullable=False),
        sa.Column("error_code", sa.String(length=64), nullable=True),
        sa.Column("error_message", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("kind IN ('stt', 'tts')", name=op.f("ck_voice_requests_kind_known")),
        sa.CheckConstraint(
            "state IN ('running', 'succeeded', 'failed')",
            name=op.f("ck_voice_requests_state_known"),
        ),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name=op.f("fk_voice_requests_project_id")
        ),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_voice_requests_user_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_voice_requests")),
    )
    op.create_index(
        "ix_voice_requests_project_id_created_at",
        "voice_requests",
        ["project_id", "created_at", "id"],
    )

    op.create_table(
        "agent_instructions",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("project_id", sa.String(length=36), nullable=False),
        sa.Column("user_id", sa.String(length=36), nullable=True),
        sa.Column("session_id", sa.String(length=36), nullable=True),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("state", sa.String(length=24), nullable=False),
        sa.Column(
            "payload", sa.JSON().with_variant(postgresql.JSONB(), "postgresql"), nullable=False
        ),
        sa.Column("dispatch", sa.Boolean(), nullable=False),
        sa.Column("confirmed", sa.Boolean(), nullable=False),
        sa.Column("worst_case_nano", sa.BigInteger(), nullable=False),
        sa.Column("run_id", sa.String(length=40), nullable=True),
        sa.Column(
            "result", sa.JSON().with_variant(postgresql.JSONB(), "postgresql"), nullable=True
        ),
        sa.Column("error_code", sa.String(length=64), nullable=True),
        sa.Column("error_message", sa.Text(), nullable=True),
        sa.Column("cancel_requested_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "state IN ('draft', 'awaiting_confirmation', 'queued', 'running', 'succeeded', 'failed', 'cancelled')",
            name=op.f("ck_agent_instructions_state_known"),
        ),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name=op.f("fk_agent_instructions_project_id")
        ),
        sa.ForeignKeyConstraint(
            ["session_id"], ["chat_sessions.id"], name=op.f("fk_agent_instructions_session_id")
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_agent_instructions_user_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_agent_instructions")),
    )
    op.create_index(
        "ix_agent_instructions_project_id_created_at",
        "agent_instructions",
        ["project_id", "created_at", "id"],
    )
    op.create_index("ix_agent_instructions_state", "agent_instructions", ["state", "created_at"])

    op.create_table(
        "chat_messages",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("session_id", sa.String(length=36), nullable=False),
        sa.Column("role", sa.String(length=12), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("data", sa.JSON().with_variant(postgresql.JSONB(), "postgresql"), nullable=False),
        sa.Column("cost_nano", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "role IN ('user', 'assistant', 'system')", name=op.f("ck_chat_messages_role_known")
        ),
        sa.ForeignKeyConstraint(
            ["session_id"], ["chat_sessions.id"], name=op.f("fk_chat_messages_session_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_chat_messages")),
    )
    op.create_index("ix_chat_messages_session_id", "chat_messages", ["session_id", "id"])

    op.create_table(
        "agent_instruction_events",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("instruction_id", sa.String(length=36), nullable=False),
        sa.Column("kind", sa.String(length=40), nullable=False),
        sa.Column("state", sa.String(length=24), nullable=False),
        sa.Column("data", sa.JSON().with_variant(postgresql.JSONB(), "postgresql"), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["instruction_id"],
            ["agent_instructions.id"],
            name=op.f("fk_agent_instruction_events_instruction_id"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_agent_instruction_events")),
    )
    op.create_index(
        "ix_agent_instruction_events_instruction_id",
        "agent_instruction_events",
        ["instruction_id", "id"],
    )

    op.create_table(
        "asset_tags",
        sa.Column("asset_id", sa.String(length=36), nullable=False),
        sa.Column("tag", sa.String(length=64), nullable=False),
        sa.Column("project_id", sa.String(length=36), nullable=False),
        sa.Column("asset_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["asset_id"], ["assets.id"], name=op.f("fk_asset_tags_asset_id")),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name=op.f("fk_asset_tags_project_id")
        ),
        sa.PrimaryKeyConstraint("asset_id", "tag", name=op.f("pk_asset_tags")),
    )
    op.create_index(
        "ix_asset_tags_page", "asset_tags", ["project_id", "tag", "asset_at", "asset_id"]
    )

    op.create_table(
        "consents",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("user_id", sa.String(length=36), nullable=True),
        sa.Column("project_id", sa.String(length=36), nullable=False),
        sa.Column("asset_id", sa.String(length=36), nullable=False),
        sa.Column("words", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["asset_id"], ["assets.id"], name=op.f("fk_consents_asset_id")),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name=op.f("fk_consents_project_id")
        ),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_consents_user_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_consents")),
    )
    op.create_index("ix_consents_asset_id", "consents", ["asset_id"])

    op.create_table(
        "favourites",
        sa.Column("user_id", sa.String(length=36), nullable=False),
        sa.Column("asset_id", sa.String(length=36), nullable=False),
        sa.Column("project_id", sa.String(length=36), nullable=False),
        sa.Column("asset_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["asset_id"], ["assets.id"], name=op.f("fk_favourites_asset_id")),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name=op.f("fk_favourites_project_id")
        ),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_favourites_user_id")),
        sa.PrimaryKeyConstraint("user_id", "asset_id", name=op.f("pk_favourites")),
    )
    op.create_index("ix_favourites_asset_id", "favourites", ["asset_id"])
    op.create_index(
        "ix_favourites_page", "favourites", ["user_id", "project_id", "asset_at", "asset_id"]
    )

    op.create_table(
        "uploads",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("user_id", sa.String(length=36), nullable=False),
        sa.Column("project_id", sa.String(length=36), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("offset_bytes", sa.BigInteger(), nullable=False),
        sa.Column("told", sa.JSON().with_variant(postgresql.JSONB(), "postgresql"), nullable=False),
        sa.Column("asset_id", sa.String(length=36), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "offset_bytes BETWEEN 0 AND size_bytes", name=op.f("ck_uploads_offset_within")
        ),
        sa.ForeignKeyConstraint(["asset_id"], ["assets.id"], name=op.f("fk_uploads_asset_id")),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name=op.f("fk_uploads_project_id")
        ),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_uploads_user_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_uploads")),
    )
    for sql in _COLUMNS:
        op.execute(sql)
    json = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
    op.add_column("projects", sa.Column("s3", json, nullable=True))
    for table in ("assets", "run_jobs"):
        name = "deleted_at" if table == "assets" else "cancel_requested_at"
        op.add_column(table, sa.Column(name, sa.DateTime(timezone=True), nullable=True))
    op.drop_index("ix_run_jobs_open", "run_jobs")
    op.create_index("ix_run_jobs_open", "run_jobs", ["state", "priority", "created_at"])
    _index_assets()
    sqlite = op.get_bind().dialect.name == "sqlite"
    for sql in (*_REQUESTS[sqlite], *_WORDS[sqlite]):
        op.execute(sql)


def _index_assets() -> None:
    shown, hidden = sa.text("deleted_at IS NULL"), sa.text("deleted_at IS NOT NULL")
    page = ["project_id", "created_at", "id"]
    for name, columns, where in (
        ("ix_assets_shown", page, shown),
        ("ix_assets_kind", ["project_id", "kind", "created_at", "id"], shown),
        ("ix_assets_provider", ["project_id", "provider", "created_at", "id"], shown),
        ("ix_assets_model", ["project_id", "model", "created_at", "id"], shown),
        ("ix_assets_creator_id", ["project_id", "creator_id", "created_at", "id"], shown),
        ("ix_assets_trashed", ["project_id", "deleted_at", "id"], hidden),
    ):
        op.create_index(name, "assets", columns, sqlite_where=where, postgresql_where=where)
    op.create_index("ix_assets_digest", "assets", ["project_id", "digest"])
    op.create_index("ix_assets_words_id", "assets", ["words_id"])


# Written out, because both databases take it as it is, while Alembic's batches would build the
# tables anew on SQLite, which forbids dropping one that others refer to.
_COLUMNS = (
    "ALTER TABLE assets ADD COLUMN creator_id VARCHAR(36) CONSTRAINT fk_assets_creator_id REFERENCES users (id)",
    "ALTER TABLE assets ADD COLUMN prompt TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE assets ADD COLUMN provider VARCHAR(64) NOT NULL DEFAULT ''",
    "ALTER TABLE assets ADD COLUMN model VARCHAR(120) NOT NULL DEFAULT ''",
    "ALTER TABLE assets ADD COLUMN words_id BIGINT",
    "ALTER TABLE projects ADD COLUMN owner_id VARCHAR(36) CONSTRAINT fk_projects_owner_id REFERENCES users (id)",
    "ALTER TABLE projects ADD COLUMN quota_bytes BIGINT",
    "ALTER TABLE projects ADD COLUMN notify_url TEXT",
    (
        "ALTER TABLE run_jobs ADD COLUMN priority INTEGER NOT NULL DEFAULT 0 "
        "CONSTRAINT ck_run_jobs_priority_known CHECK (priority BETWEEN -100 AND 100)"
    ),
    "ALTER TABLE runs ADD COLUMN correlation_id VARCHAR(128)",
    (
        "ALTER TABLE runs ADD COLUMN kind VARCHAR(8) NOT NULL DEFAULT 'pictures' "
        "CONSTRAINT ck_runs_kind_known CHECK (kind IN ('pictures', 'words'))"
    ),
    "ALTER TABLE runs ADD COLUMN creator_id VARCHAR(36) CONSTRAINT fk_runs_creator_id REFERENCES users (id)",
)

_REQUESTS = {
    True: (
        (
            "UPDATE assets SET prompt = COALESCE(json_extract(made_by, '$.request.prompt'), ''), "
            "provider = COALESCE(json_extract(made_by, '$.request.provider'), ''), "
            "model = COALESCE(json_extract(made_by, '$.request.model'), '')"
        ),
    ),
    False: (
        (
            "UPDATE assets SET prompt = COALESCE(made_by->'request'->>'prompt', ''), "
            "provider = COALESCE(made_by->'request'->>'provider', ''), "
            "model = COALESCE(made_by->'request'->>'model', '')"
        ),
    ),
}

_SCOPE = "'p' || replace({row}project_id, '-', '')"
_TEXT = "{row}prompt || ' ' || {row}name"

# One index of words on both databases: `asset_words`, newest last, kept by triggers.
_WORDS = {
    True: (
        (  # each beginning is looked up like a word: a million of them are not collected first
            "CREATE VIRTUAL TABLE asset_words USING fts5 "
            "(scope, words, tokenize = 'unicode61', prefix = '1 2 3 4 5 6 7 8 9 10 11 12')"
        ),
        (
            f"INSERT INTO asset_words (rowid, scope, words) "
            f"SELECT rowid, {_SCOPE.format(row='')}, {_TEXT.format(row='')} FROM assets"
        ),
        "UPDATE assets SET words_id = rowid",
        f"""CREATE TRIGGER asset_words_added AFTER INSERT ON assets BEGIN
            INSERT INTO asset_words (scope, words)
            VALUES ({_SCOPE.format(row="new.")}, {_TEXT.format(row="new.")});
            UPDATE assets SET words_id = (SELECT rowid FROM asset_words ORDER BY rowid DESC LIMIT 1) WHERE id = new.id;
        END""",
        """CREATE TRIGGER asset_words_removed AFTER DELETE ON assets BEGIN
            DELETE FROM asset_words WHERE rowid = old.words_id;
        END""",
    ),
    False: (
        (
            "CREATE TABLE asset_words (id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, "
            "words tsvector NOT NULL)"
        ),
        # Without a list of pending entries, which every search would have to read.
        "CREATE INDEX asset_words_words ON asset_words USING gin (words) WITH (fastupdate = off)",
        f"""CREATE FUNCTION asset_words_add() RETURNS trigger AS $$ BEGIN
            INSERT INTO asset_words (words) VALUES (to_tsvector('simple', {_SCOPE.format(row="new.")})
                || to_tsvector('simple', {_TEXT.format(row="new.")})) RETURNING id INTO new.words_id;
            RETURN new;
        END $$ LANGUAGE plpgsql""",
        """CREATE FUNCTION asset_words_remove() RETURNS trigger AS $$ BEGIN
            DELETE FROM asset_words WHERE id = old.words_id;
            RETURN old;
        END $$ LANGUAGE plpgsql""",
        f"""DO $$ DECLARE one record; made bigint; BEGIN
            FOR one IN SELECT id, project_id, prompt, name FROM assets ORDER BY created_at, id LOOP
                INSERT INTO asset_words (words) VALUES (to_tsvector('simple', {_SCOPE.format(row="one.")})
                    || to_tsvector('simple', {_TEXT.format(row="one.")})) RETURNING id INTO made;
                UPDATE assets SET words_id = made WHERE id = one.id;
            END LOOP;
        END $$""",
        (
            "CREATE TRIGGER asset_words_added BEFORE INSERT ON assets "
            "FOR EACH ROW EXECUTE FUNCTION asset_words_add()"
        ),
        (
            "CREATE TRIGGER asset_words_removed AFTER DELETE ON assets "
            "FOR EACH ROW EXECUTE FUNCTION asset_words_remove()"
        ),
    ),
}
