"""What people say of an asset: its tags, and whether they like it."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import delete
from sqlalchemy.ext.asyncio import AsyncSession

from maquette.core.errors import BadParameter
from maquette.db.tables import Asset, AssetTag, Favourite
from maquette.db.upsert import insert_missing

LONGEST_TAG = 64


def tag_of(text: str) -> str:
    """Write a tag as it is kept: in lower case, with single spaces."""
    tag = " ".join(text.lower().split())
    if not 1 <= len(tag) <= LONGEST_TAG or not tag.isprintable():
        raise BadParameter(f"{text!r} cannot be a tag: write 1 to {LONGEST_TAG} letters.")
    return tag


async def set_tags(session: AsyncSession, asset: Asset, tags: Collection[str]) -> None:
    """Give an asset these tags and no others."""
    await session.execute(
        delete(AssetTag).where(AssetTag.asset_id == asset.id, AssetTag.tag.not_in(tags))
    )
    rows = [{"tag": tag, **_page_of(asset)} for tag in sorted(tags)]
    await insert_missing(session, AssetTag, rows)


async def like(session: AsyncSession, asset: Asset, user_id: str, at: datetime) -> None:
    row = {"user_id": user_id, "created_at": at, **_page_of(asset)}
    await insert_missing(session, Favourite, [row])


async def unlike(session: AsyncSession, asset_id: str, user_id: str) -> None:
    mine = (Favourite.user_id == user_id) & (Favourite.asset_id == asset_id)
    await session.execute(delete(Favourite).where(mine))


def _page_of(asset: Asset) -> dict[str, object]:
    """Repeat what pages are read by, so that they are read from one index."""
    return {
        "asset_id": asset.id,
        "project_id": asset.project_id,
        "asset_at": asset.created_at,
    }
