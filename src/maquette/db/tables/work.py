"""Work: projects, runs, jobs and their steps; CHECKs and unique indexes carry the invariants."""

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

from maquette.core.states import JobState
from maquette.db.base import Base, Serial, one_of


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
        CheckConstraint("kind IN ('pictures', 'words')", name="kind_known"),
        Index("ix_runs_project_id_id", "project_id", "id"),
    )

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    project_id: Mapped[str] = mapped_column(ForeignKey("projects.id"))
    creator_id: Mapped[str | None] = mapped_column(ForeignKey("users.id"))
    correlation_id: Mapped[str | None] = mapped_column(String(128))
    """Of the request that began it; upstream calls carry it on."""
    kind: Mapped[str] = mapped_column(String(8), default="pictures")
    """`words`: one call of a language or speech model. It carries the call's money through the
    ledger and ends with it; no desk works it and no list of runs shows it."""
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


class Notice(Base):
    """A run whose end somebody is still to be told of."""

    __tablename__ = "notices"

    run_id: Mapped[str] = mapped_column(String(40), primary_key=True)
    """Of a run that may be gone meanwhile."""
    created_at: Mapped[datetime]


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
