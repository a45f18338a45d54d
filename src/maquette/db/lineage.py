"""What was made of what: whole trees by one recursive statement each way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, NamedTuple

from sqlalchemy import literal, select
from sqlalchemy.ext.asyncio import AsyncSession

from maquette.db.tables import Asset, AssetParent, Blob

Direction = Literal["up", "down", "both"]


class Relative(NamedTuple):
    """An asset of a tree."""

    id: str
    kind: str
    name: str
    width_px: int
    height_px: int
    trashed_at: datetime | None
    created_at: datetime


class Edge(NamedTuple):
    """A child was made from a parent."""

    child: str
    parent: str
    role: str


@dataclass(frozen=True)
class Family:
    """A tree, or as much of it as was asked for."""

    nodes: tuple[Relative, ...]
    edges: tuple[Edge, ...]
    whole: bool


async def family(session: AsyncSession, asset_id: str, direction: Direction, most: int) -> Family:
    """Return what an asset was made from, and what was made from it, nearest first."""
    ids = {asset_id: None}
    for way in ("up", "down"):
        if direction in (way, "both"):
            ids |= dict.fromkeys(await _line(session, asset_id, up=way == "up", most=most + 1))
    kept = list(ids)[:most]
    return Family(
        tuple(await _nodes(session, kept)),
        tuple(await _edges(session, kept)),
        whole=len(ids) <= most,
    )


async def _line(session: AsyncSession, asset_id: str, *, up: bool, most: int) -> Sequence[str]:
    """Walk the tree by breadth; an asset that is met twice is followed once."""
    here, there = AssetParent.asset_id, AssetParent.parent_id
    if not up:
        here, there = there, here
    tree = select(literal(asset_id).label("id")).cte("tree", recursive=True)
    tree = tree.union(select(there).join(tree, here == tree.c.id))
    return (await session.execute(select(tree.c.id).limit(most))).scalars().all()


async def _nodes(session: AsyncSession, ids: Sequence[str]) -> list[Relative]:
    blob = (Blob.project_id == Asset.project_id) & (Blob.digest == Asset.digest)
    query = (
        select(
            Asset.id,
            Asset.kind,
            Asset.name,
            Blob.width_px,
            Blob.height_px,
            Asset.deleted_at,
            Asset.created_at,
        )
        .join(Blob, blob)
        .where(Asset.id.in_(ids))
    )
    found = {row.id: Relative(*row) for row in await session.execute(query)}
    return [found[one] for one in ids if one in found]


async def _edges(session: AsyncSession, ids: Sequence[str]) -> list[Edge]:
    query = (
        select(AssetParent.asset_id, AssetParent.parent_id, AssetParent.role)
        .where(AssetParent.asset_id.in_(ids), AssetParent.parent_id.in_(ids))
        .order_by(AssetParent.asset_id, AssetParent.parent_id, AssetParent.role)
    )
    return [Edge(*row) for row in await session.execute(query)]
