"""What is kept about projects and requests: secrets, snapshots, exports, answers given before."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, LargeBinary, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from maquette.db.base import Base


class Secret(Base):
    """A project's key for somebody's API, sealed with the installation's master key."""

    __tablename__ = "project_api_secrets"

    project_id: Mapped[str] = mapped_column(ForeignKey("projects.id"), primary_key=True)
    provider: Mapped[str] = mapped_column(String(64), primary_key=True)
    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    sealed: Mapped[bytes] = mapped_column(LargeBinary)
    """AES-256-GCM: 12 bytes of nonce, then the ciphertext with its tag."""
    key_id: Mapped[str] = mapped_column(String(16))
    """Which master key opens it."""
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]


class Snapshot(Base):
    """A project's rows as they once were, in an object of its store."""

    __tablename__ = "project_snapshots"
    __table_args__ = (Index("ix_project_snapshots_project_id", "project_id", "created_at"),)

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    project_id: Mapped[str] = mapped_column(ForeignKey("projects.id"))
    user_id: Mapped[str | None] = mapped_column(ForeignKey("users.id"))
    name: Mapped[str] = mapped_column(Text)
    digest: Mapped[str] = mapped_column(String(64))
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    counts: Mapped[dict[str, Any]]
    created_at: Mapped[datetime]


class Export(Base):
    """An archive of a project that was made, or is being made."""

    __tablename__ = "project_exports"
    __table_args__ = (
        CheckConstraint("state IN ('running', 'succeeded', 'failed')", name="state_known"),
        Index("ix_project_exports_project_id", "project_id", "created_at"),
    )

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    project_id: Mapped[str] = mapped_column(ForeignKey("projects.id"))
    user_id: Mapped[str | None] = mapped_column(ForeignKey("users.id"))
    state: Mapped[str] = mapped_column(String(12))
    path: Mapped[str] = mapped_column(Text)
    size_bytes: Mapped[int | None] = mapped_column(BigInteger)
    sha256: Mapped[str | None] = mapped_column(String(64))
    error_message: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]


class IdempotencyKey(Base):
    """A request that must not be done twice, and how it was answered."""

    __tablename__ = "idempotency_keys"
    __table_args__ = (
        CheckConstraint("state IN ('working', 'done')", name="state_known"),
        Index("ix_idempotency_keys_expires_at", "expires_at"),
    )

    caller: Mapped[str] = mapped_column(String(64), primary_key=True)
    key: Mapped[str] = mapped_column(String(255), primary_key=True)
    route: Mapped[str] = mapped_column(String(200))
    body_hash: Mapped[str] = mapped_column(String(64))
    state: Mapped[str] = mapped_column(String(8))
    resource: Mapped[str | None] = mapped_column(String(120))
    """What the request has made, committed together with it: `run:<id>`, `instruction:<id>` …"""
    status: Mapped[int | None]
    reply: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]


class Worker(Base):
    """A process that works jobs, or stands by to; its beat says that it lives."""

    __tablename__ = "workers"
    __table_args__ = (CheckConstraint("state IN ('working', 'standing_by')", name="state_known"),)

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    name: Mapped[str] = mapped_column(String(120))
    """Host and process, for people."""
    state: Mapped[str] = mapped_column(String(12))
    started_at: Mapped[datetime]
    beat_at: Mapped[datetime]
