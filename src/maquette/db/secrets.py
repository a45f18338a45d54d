"""Sealed secrets of projects; nothing here can open one."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from maquette.db.tables import Secret


async def of_project(session: AsyncSession, project_id: str) -> Sequence[Secret]:
    query = select(Secret).where(Secret.project_id == project_id)
    return (await session.execute(query.order_by(Secret.provider, Secret.name))).scalars().all()


async def page(
    session: AsyncSession, project_id: str, limit: int, after: tuple[str, str] | None
) -> Sequence[Secret]:
    """Return a project's secrets by provider and name, those behind `after`."""
    query = select(Secret).where(Secret.project_id == project_id)
    if after is not None:
        provider, name = after
        query = query.where(
            (Secret.provider > provider) | ((Secret.provider == provider) & (Secret.name > name))
        )
    query = query.order_by(Secret.provider, Secret.name).limit(limit)
    return (await session.execute(query)).scalars().all()


async def everyone(session: AsyncSession) -> Sequence[Secret]:
    """Return all secrets of all projects, locked until the transaction ends."""
    return (await session.execute(select(Secret).with_for_update())).scalars().all()


async def key_ids(session: AsyncSession) -> frozenset[str]:
    """Return the ids of the master keys that are in use."""
    return frozenset((await session.execute(select(Secret.key_id).distinct())).scalars())


async def put(
    session: AsyncSession,
    place: tuple[str, str, str],
    sealed: bytes,
    key_id: str,
    at: datetime,
) -> bool:
    """Write a secret under (project id, provider, name); tell whether it is new."""
    found = await session.get(Secret, place)
    if found is not None:
        found.sealed, found.key_id, found.updated_at = sealed, key_id, at
        return False
    project_id, provider, name = place
    session.add(
        Secret(
            project_id=project_id,
            provider=provider,
            name=name,
            sealed=sealed,
            key_id=key_id,
            created_at=at,
            updated_at=at,
        )
    )
    await session.flush()
    return True


async def remove(session: AsyncSession, place: tuple[str, str, str]) -> bool:
    """Forget a secret; tell whether there was one."""
    found = await session.get(Secret, place)
    if found is None:
        return False
    await session.delete(found)
    await session.flush()
    return True
