"""What one asset's page tells: what made it, where it is shown, its next of kin, who consented."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from maquette.db.tables import Asset, AssetParent, Consent, File

MOST_RELATIONS = 200


class Relation(NamedTuple):
    """One step up or down the tree."""

    id: str
    kind: str
    name: str
    role: str
    trashed_at: datetime | None


class Declared(NamedTuple):
    """What a person declared of a picture."""

    user: str | None
    words: str
    at: datetime


async def made(session: AsyncSession, asset_id: str) -> tuple[str, dict[str, Any]]:
    """Return the whole prompt, and what made the asset."""
    query = select(Asset.prompt, Asset.made_by).where(Asset.id == asset_id)
    prompt, made_by = (await session.execute(query)).one()
    return prompt, made_by


async def files(session: AsyncSession, project_id: str, asset_id: str) -> Sequence[str]:
    """Return the names in the project's folders that show the asset."""
    query = (
        select(File.path)
        .where(File.project_id == project_id, File.asset_id == asset_id)
        .order_by(File.path)
    )
    return (await session.execute(query)).scalars().all()


async def relations(session: AsyncSession, asset_id: str, *, up: bool) -> Sequence[Relation]:
    """Return the parents or the first children of an asset."""
    here, there = AssetParent.asset_id, AssetParent.parent_id
    if not up:
        here, there = there, here
    query = (
        select(Asset.id, Asset.kind, Asset.name, AssetParent.role, Asset.deleted_at)
        .join(AssetParent, there == Asset.id)
        .where(here == asset_id)
        .order_by(Asset.created_at, Asset.id, AssetParent.role)
        .limit(MOST_RELATIONS)
    )
    return [Relation(*row) for row in await session.execute(query)]


async def consents(session: AsyncSession, asset_id: str) -> Sequence[Declared]:
    query = (
        select(Consent.user_id, Consent.words, Consent.at)
        .where(Consent.asset_id == asset_id)
        .order_by(Consent.at, Consent.id)
    )
    return [Declared(*row) for row in await session.execute(query)]
