"""What people say of their pictures: tags, favourites, consent; and uploads on their way in."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from maquette.db.base import Base


class AssetTag(Base):
    """A word that a person put on an asset."""

    __tablename__ = "asset_tags"
    __table_args__ = (Index("ix_asset_tags_page", "project_id", "tag", "asset_at", "asset_id"),)

    asset_id: Mapped[str] = mapped_column(ForeignKey("assets.id"), primary_key=True)
    tag: Mapped[str] = mapped_column(String(64), primary_key=True)
    project_id: Mapped[str] = mapped_column(ForeignKey("projects.id"))
    """The asset's, as is the next: pages of a tag are read from its index alone."""
    asset_at: Mapped[datetime]


class Favourite(Base):
    """An asset that one person likes."""

    __tablename__ = "favourites"
    __table_args__ = (
        Index("ix_favourites_asset_id", "asset_id"),
        Index("ix_favourites_page", "user_id", "project_id", "asset_at", "asset_id"),
    )

    user_id: Mapped[str] = mapped_column(ForeignKey("users.id"), primary_key=True)
    asset_id: Mapped[str] = mapped_column(ForeignKey("assets.id"), primary_key=True)
    project_id: Mapped[str] = mapped_column(ForeignKey("projects.id"))
    """The asset's, as is the next."""
    asset_at: Mapped[datetime]
    created_at: Mapped[datetime]


class Consent(Base):
    """What a person declared when they uploaded a picture."""

    __tablename__ = "consents"
    __table_args__ = (Index("ix_consents_asset_id", "asset_id"),)

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    user_id: Mapped[str | None] = mapped_column(ForeignKey("users.id"))
    project_id: Mapped[str] = mapped_column(ForeignKey("projects.id"))
    asset_id: Mapped[str] = mapped_column(ForeignKey("assets.id"))
    words: Mapped[str] = mapped_column(Text)
    at: Mapped[datetime]


class Upload(Base):
    """A resumable upload: what was promised and how far it has come."""

    __tablename__ = "uploads"
    __table_args__ = (
        CheckConstraint("offset_bytes BETWEEN 0 AND size_bytes", name="offset_within"),
    )

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    user_id: Mapped[str] = mapped_column(ForeignKey("users.id"))
    project_id: Mapped[str] = mapped_column(ForeignKey("projects.id"))
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    offset_bytes: Mapped[int] = mapped_column(BigInteger)
    told: Mapped[dict[str, Any]]
    """The client's metadata: file name, consent, whether to strip."""
    asset_id: Mapped[str | None] = mapped_column(ForeignKey("assets.id"))
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
