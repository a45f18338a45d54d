"""People, their credentials and memberships."""

from __future__ import annotations

from datetime import datetime
from uuid import uuid4

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from maquette.core.people import ProjectRole, Role
from maquette.db.tables import Membership, User


async def by_name(session: AsyncSession, name: str) -> User | None:
    return (await session.execute(select(User).where(User.name == name))).scalar_one_or_none()


async def make_missing(session: AsyncSession, name: str, role: Role, at: datetime) -> User:
    """Return the person of that name, made where there is none."""
    found = await by_name(session, name)
    if found is None:
        found = User(id=str(uuid4()), name=name, role=role.value, created_at=at)
        session.add(found)
        await session.flush()
    return found


async def role_in(session: AsyncSession, project_id: str, user_id: str) -> ProjectRole | None:
    found = await session.get(Membership, (project_id, user_id))
    return None if found is None else ProjectRole(found.role)


async def join(
    session: AsyncSession, project_id: str, user_id: str, role: ProjectRole, at: datetime
) -> None:
    """Make a person a member of a project, or change what they are in it."""
    found = await session.get(Membership, (project_id, user_id))
    if found is None:
        session.add(
            Membership(project_id=project_id, user_id=user_id, role=role.value, created_at=at)
        )
    else:
        found.role = role.value
    await session.flush()


async def projects_of(session: AsyncSession, user_id: str) -> frozenset[str]:
    query = select(Membership.project_id).where(Membership.user_id == user_id)
    return frozenset((await session.execute(query)).scalars())
