"""Work, money and pictures; CHECKs and partial unique indexes carry the invariants."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
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

from maquette.core.states import AttemptState, JobState
from maquette.db.base import Base, Serial


def one_of(column: str, words: type[StrEnum]) -> CheckConstraint:
    """Allow a column the words of an enum alone."""
    listed = ", ".join(f"'{word.value}'" for word in words)
    return CheckConstraint(f"{column} IN ({listed})", name=f"{column}_known")


class Installation(Base):
    """One row: what holds for the whole installation."""

    __tablename__ = "installation"
    __table_args__ = (CheckConstraint("id = 1", name="one_row"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    spend_stopped_at: Mapped[datetime | None]
    spend_stopped_why: Mapped[str | None] = mapped_column(Text)


class Project(Base):
    """A body of work with a root folder of its own."""

    __tablename__ = "projects"

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    slug: Mapped[str] = mapped_column(String(64), unique=True)
    name: Mapped[str] = mapped_column(Text)
    root: Mapped[str | None] = mapped_column(Text)
    owner_id: Mapped[str | None] = mapped_column(ForeignKey("users.id"))
    """Who made it; None: from a time, or an archive, that knew no people."""
    s3: Mapped[dict[str, Any] | None] = mapped_column(
        JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")
    )
    """Where the root is mirrored: enabled, bucket, prefix, region, endpoint."""
    quota_bytes: Mapped[int | None] = mapped_column(BigInteger)
    notify_url: Mapped[str | None] = mapped_column(Text)
    """Told when a run ends."""
    created_at: Mapped[datetime]


class Run(Base):
    """One invocation over many scenes."""

    __tablename__ = "runs"
    __table_args__ = (
        one_of("state", JobState),
        Index("ix_runs_project_id_id", "project_id", "id"),
    )

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    project_id: Mapped[str] = mapped_column(ForeignKey("projects.id"))
    creator_id: Mapped[str | None] = mapped_column(ForeignKey("users.id"))
    correlation_id: Mapped[str | None] = mapped_column(String(128))
    """Of the request that began it; upstream calls carry it on."""
    state: Mapped[str] = mapped_column(String(24))
    root: Mapped[str] = mapped_column(Text)
    settings: Mapped[dict[str, Any]]
    """The resolved order, for the run log and for replay."""
    versions: Mapped[dict[str, Any]]
    replay_of: Mapped[str | None] = mapped_column(String(40))
    max_spend_nano: Mapped[int | None] = mapped_column(BigInteger)
    worst_case_nano: Mapped[int] = mapped_column(BigInteger)
    confirmed: Mapped[bool]
    foreign: Mapped[bool] = mapped_column(default=False)
    """Worked by another installation; its log was ingested here."""
    cancel_requested_at: Mapped[datetime | None]
    log_digest: Mapped[str | None] = mapped_column(String(64))
    created_at: Mapped[datetime]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]


class Job(Base):
    """One scene of a run."""

    __tablename__ = "run_jobs"
    __table_args__ = (
        one_of("state", JobState),
        UniqueConstraint("run_id", "scene"),
        UniqueConstraint("run_id", "position"),
        CheckConstraint("priority BETWEEN -100 AND 100", name="priority_known"),
        Index("ix_run_jobs_open", "state", "priority", "created_at"),
    )

    id: Mapped[str] = mapped_column(String(48), primary_key=True)
    run_id: Mapped[str] = mapped_column(ForeignKey("runs.id"))
    position: Mapped[int]
    scene: Mapped[str] = mapped_column(String(200))
    state: Mapped[str] = mapped_column(String(24))
    spec: Mapped[dict[str, Any]]
    round: Mapped[int] = mapped_column(default=0)
    """Raised when a person resumes the job: the engine's id for it is `job.round`."""
    priority: Mapped[int] = mapped_column(default=0)
    """Higher is begun earlier."""
    cancel_requested_at: Mapped[datetime | None]
    worst_case_nano: Mapped[int] = mapped_column(BigInteger)
    error_code: Mapped[str | None] = mapped_column(String(64))
    error_message: Mapped[str | None] = mapped_column(Text)
    selected_position: Mapped[int | None]
    final_asset_id: Mapped[str | None] = mapped_column(String(36))
    created_at: Mapped[datetime]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]


class Step(Base):
    """What is done of a job; a restart continues at the first step that is not."""

    __tablename__ = "steps"
    __table_args__ = (
        UniqueConstraint("job_id", "name"),
        CheckConstraint("state IN ('running', 'done')", name="state_known"),
        CheckConstraint("(state = 'done') = (result IS NOT NULL)", name="done_has_result"),
        CheckConstraint("starts >= 1", name="starts_counted"),
    )

    id: Mapped[int] = mapped_column(Serial, primary_key=True)
    job_id: Mapped[str] = mapped_column(ForeignKey("run_jobs.id"))
    name: Mapped[str] = mapped_column(String(64))
    state: Mapped[str] = mapped_column(String(8))
    starts: Mapped[int]
    """How often it was begun without ending: three crashes make it poison."""
    result: Mapped[dict[str, Any] | None] = mapped_column(
        JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")
    )
    started_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]


class Candidate(Base):
    """One picture that a provider returned."""

    __tablename__ = "run_job_candidates"
    __table_args__ = (
        UniqueConstraint("job_id", "position"),
        CheckConstraint("state IN ('new', 'passed', 'failed_output_guard')", name="state_known"),
        Index(
            "uq_run_job_candidates_selected",
            "job_id",
            unique=True,
            sqlite_where=text("selected"),
            postgresql_where=text("selected"),
        ),
    )

    id: Mapped[int] = mapped_column(Serial, primary_key=True)
    job_id: Mapped[str] = mapped_column(ForeignKey("run_jobs.id"))
    position: Mapped[int]
    attempt_id: Mapped[str] = mapped_column(ForeignKey("attempts.id"))
    asset_id: Mapped[str] = mapped_column(ForeignKey("assets.id"))
    state: Mapped[str] = mapped_column(String(24))
    verdict: Mapped[dict[str, Any] | None]
    selected: Mapped[bool] = mapped_column(default=False)


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
    )

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    job_id: Mapped[str] = mapped_column(ForeignKey("run_jobs.id"))
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
    """`installation`, `day`, `project:<id>` or `run:<id>`."""
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
    """The date in the installation's timezone for `day`, else empty."""
    held_nano: Mapped[int] = mapped_column(BigInteger)
    settled_nano: Mapped[int] = mapped_column(BigInteger)


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


class HoldBudget(Base):
    """Which counters a job's hold of one day, and the attempts made from it, count in."""

    __tablename__ = "hold_budgets"

    job_id: Mapped[str] = mapped_column(ForeignKey("holds.job_id"), primary_key=True)
    day: Mapped[str] = mapped_column(String(10), primary_key=True)
    budget_id: Mapped[int] = mapped_column(ForeignKey("budgets.id"), primary_key=True)


class Blob(Base):
    """Bytes that a project's store holds, once."""

    __tablename__ = "blobs"

    project_id: Mapped[str] = mapped_column(ForeignKey("projects.id"), primary_key=True)
    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    media_type: Mapped[str] = mapped_column(String(64))
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    width_px: Mapped[int]
    height_px: Mapped[int]
    has_alpha: Mapped[bool]
    created_at: Mapped[datetime]


class Asset(Base):
    """A picture with a history; the same bytes made twice are two assets and one blob."""

    __tablename__ = "assets"
    __table_args__ = (
        Index("ix_assets_project_id_created_at_id", "project_id", "created_at", "id"),
        Index(
            "ix_assets_shown",
            "project_id",
            "created_at",
            "id",
            sqlite_where=text("deleted_at IS NULL"),
            postgresql_where=text("deleted_at IS NULL"),
        ),
        Index(
            "ix_assets_kind",
            "project_id",
            "kind",
            "created_at",
            "id",
            sqlite_where=text("deleted_at IS NULL"),
            postgresql_where=text("deleted_at IS NULL"),
        ),
        Index(
            "ix_assets_deleted_at",
            "deleted_at",
            sqlite_where=text("deleted_at IS NOT NULL"),
            postgresql_where=text("deleted_at IS NOT NULL"),
        ),
        Index("ix_assets_words_id", "words_id"),
        Index("ix_assets_cache_key", "project_id", "cache_key"),
        Index("ix_assets_job_id", "job_id"),
    )

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    project_id: Mapped[str] = mapped_column(ForeignKey("projects.id"))
    digest: Mapped[str] = mapped_column(String(64))
    kind: Mapped[str] = mapped_column(String(24))
    name: Mapped[str] = mapped_column(Text)
    job_id: Mapped[str | None] = mapped_column(ForeignKey("run_jobs.id"))
    creator_id: Mapped[str | None] = mapped_column(ForeignKey("users.id"))
    prompt: Mapped[str] = mapped_column(Text, default="")
    """For searching: what the request, or that of its job, said."""
    provider: Mapped[str] = mapped_column(String(64), default="")
    model: Mapped[str] = mapped_column(String(120), default="")
    words_id: Mapped[int | None] = mapped_column(BigInteger)
    """SQLite: its row of the search index, which a trigger writes."""
    deleted_at: Mapped[datetime | None]
    """Since when it lies in the trash."""
    made_by: Mapped[dict[str, Any]]
    """The effective request, or the operation with version, parameters and what it reports."""
    cache_key: Mapped[str | None] = mapped_column(String(64))
    cost_nano: Mapped[int] = mapped_column(BigInteger, default=0)
    created_at: Mapped[datetime]


class AssetParent(Base):
    """What an asset was made from."""

    __tablename__ = "asset_parents"
    __table_args__ = (Index("ix_asset_parents_parent_id", "parent_id"),)

    asset_id: Mapped[str] = mapped_column(ForeignKey("assets.id"), primary_key=True)
    parent_id: Mapped[str] = mapped_column(ForeignKey("assets.id"), primary_key=True)
    role: Mapped[str] = mapped_column(String(16), primary_key=True)


class File(Base):
    """A name in the project's folders, and the asset it shows."""

    __tablename__ = "files"

    project_id: Mapped[str] = mapped_column(ForeignKey("projects.id"), primary_key=True)
    path: Mapped[str] = mapped_column(String(500), primary_key=True)
    """Relative to the root, with forward slashes."""
    asset_id: Mapped[str] = mapped_column(ForeignKey("assets.id"))
    written_at: Mapped[datetime]


class Event(Base):
    """What happened, in order; never changed."""

    __tablename__ = "events"
    __table_args__ = (Index("ix_events_run_id_id", "run_id", "id"),)

    id: Mapped[int] = mapped_column(Serial, primary_key=True)
    project_id: Mapped[str] = mapped_column(String(36))
    run_id: Mapped[str | None] = mapped_column(String(40))
    job_id: Mapped[str | None] = mapped_column(String(48))
    kind: Mapped[str] = mapped_column(String(40))
    data: Mapped[dict[str, Any]]
    at: Mapped[datetime]
