"""Pictures: bytes that lie once, the assets that point to them, and the names that show them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Index, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from maquette.db.base import Base


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
        *(
            Index(
                f"ix_assets_{column}",
                "project_id",
                column,
                "created_at",
                "id",
                sqlite_where=text("deleted_at IS NULL"),
                postgresql_where=text("deleted_at IS NULL"),
            )
            for column in ("kind", "provider", "model", "creator_id")
        ),
        Index(
            "ix_assets_trashed",
            "project_id",
            "deleted_at",
            "id",
            sqlite_where=text("deleted_at IS NOT NULL"),
            postgresql_where=text("deleted_at IS NOT NULL"),
        ),
        Index("ix_assets_digest", "project_id", "digest"),
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


class Borrowed(Base):
    """A picture that is forgotten when what it was sent for is done."""

    __tablename__ = "borrowed_assets"
    __table_args__ = (Index("ix_borrowed_assets_created_at", "created_at"),)

    asset_id: Mapped[str] = mapped_column(String(36), primary_key=True)
    """Of an asset that may be gone meanwhile."""
    project_id: Mapped[str] = mapped_column(String(36))
    created_at: Mapped[datetime]


class File(Base):
    """A name in the project's folders, and the asset it shows."""

    __tablename__ = "files"

    project_id: Mapped[str] = mapped_column(ForeignKey("projects.id"), primary_key=True)
    path: Mapped[str] = mapped_column(String(500), primary_key=True)
    """Relative to the root, with forward slashes."""
    asset_id: Mapped[str] = mapped_column(ForeignKey("assets.id"))
    written_at: Mapped[datetime]
