"""Exports and snapshots of projects: their rows."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from maquette.core.errors import ExportNotFound, SnapshotNotFound
from maquette.db.tables import Asset, Export, Snapshot


async def exports(
    session: AsyncSession, project_id: str, limit: int, before: str | None
) -> Sequence[Export]:
    """Return a page of a project's exports, newest first."""
    query = select(Export).where(Export.project_id == project_id)
    if before is not None:
        last = await export(session, project_id, before)
        query = query.where(
            (Export.created_at < last.created_at)
            | ((Export.created_at == last.created_at) & (Export.id < last.id))
        )
    query = query.order_by(Export.created_at.desc(), Export.id.desc()).limit(limit)
    return (await session.execute(query)).scalars().all()


async def export(session: AsyncSession, project_id: str, export_id: str) -> Export:
    found = await session.get(Export, export_id)
    if found is None or found.project_id != project_id:
        raise ExportNotFound(
            f"The project has no export {export_id!r}; its list of exports tells their ids."
        )
    return found


async def named_by_another(session: AsyncSession, export_id: str, path: str) -> bool:
    """Say whether another export, of any project, was written to the same path."""
    query = select(Export.id).where(Export.path == path, Export.id != export_id).limit(1)
    return (await session.execute(query)).first() is not None


async def asset_with(
    session: AsyncSession, project_id: str, asset_id: str, digest: str
) -> str | None:
    """Return an asset of those bytes: this one, else the oldest that there is."""
    query = (
        select(Asset.id)
        .where(Asset.project_id == project_id, Asset.digest == digest)
        .order_by(Asset.id != asset_id, Asset.created_at, Asset.id)
        .limit(1)
    )
    return (await session.execute(query)).scalar_one_or_none()


async def running_exports(session: AsyncSession) -> Sequence[str]:
    query = select(Export.id).where(Export.state == "running")
    return (await session.execute(query)).scalars().all()


async def end_export(session: AsyncSession, export_id: str, **values: Any) -> None:
    """Say how an export ended; whoever made it knows better than who took it for dead."""
    await session.execute(update(Export).where(Export.id == export_id).values(**values))


async def snapshots(
    session: AsyncSession, project_id: str, limit: int, before: str | None
) -> Sequence[Snapshot]:
    """Return a page of a project's snapshots, newest first."""
    query = select(Snapshot).where(Snapshot.project_id == project_id)
    if before is not None:
        last = await snapshot(session, project_id, before)
        query = query.where(
            (Snapshot.created_at < last.created_at)
            | ((Snapshot.created_at == last.created_at) & (Snapshot.id < last.id))
        )
    query = query.order_by(Snapshot.created_at.desc(), Snapshot.id.desc()).limit(limit)
    return (await session.execute(query)).scalars().all()


async def snapshot(session: AsyncSession, project_id: str, wanted: str) -> Snapshot:
    """Find a snapshot by its id, its name, or an unambiguous beginning of its id, in that order."""
    found: Sequence[Snapshot] = ()
    beginning = Snapshot.id.startswith(wanted, autoescape=True)
    for which in (Snapshot.id == wanted, Snapshot.name == wanted, beginning):
        query = select(Snapshot).where(Snapshot.project_id == project_id, which).limit(2)
        found = (await session.execute(query)).scalars().all()
        if found:
            break
    if len(found) != 1:
        many = "Several snapshots are called" if found else "There is no snapshot"
        raise SnapshotNotFound(
            f"{many} {wanted!r}; `maquette project snapshot list` shows their ids."
        )
    return found[0]


async def snapshot_named(session: AsyncSession, project_id: str, name: str) -> bool:
    query = select(Snapshot.id).where(Snapshot.project_id == project_id, Snapshot.name == name)
    return (await session.execute(query.limit(1))).first() is not None


def new_export(
    session: AsyncSession,
    *,
    export_id: str,
    project_id: str,
    user_id: str | None,
    path: str,
    at: datetime,
) -> None:
    session.add(
        Export(
            id=export_id,
            project_id=project_id,
            user_id=user_id,
            state="running",
            path=path,
            created_at=at,
        )
    )
