"""Which projects are whose."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from maquette.core.errors import UserNotFound, WrongState
from maquette.core.people import Caller, ProjectRole
from maquette.db import people
from maquette.db.tables import User
from maquette.services.studio import Studio


@dataclass(frozen=True)
class Member:
    """A person in a project."""

    name: str
    role: ProjectRole
    since: datetime


async def role_in(studio: Studio, caller: Caller, project_id: str) -> ProjectRole | None:
    """Return what the caller is in a project; None for a stranger."""
    if caller.is_admin:
        return ProjectRole.OWNER
    async with studio.shop.db.read() as session:
        return await people.role_in(session, project_id, caller.user_id)


async def listing(studio: Studio, project_id: str) -> Sequence[Member]:
    """Return a project's members by name."""
    async with studio.shop.db.read() as session:
        found = await people.members(session, project_id)
    return [Member(user.name, ProjectRole(row.role), row.created_at) for user, row in found]


async def set_role(studio: Studio, project_id: str, name: str, role: ProjectRole) -> Member:
    """Make a person a member, or change what they are; the last owner stays one."""
    async with studio.shop.db.write() as session:
        person = await _person(session, name)
        if role is not ProjectRole.OWNER:
            await _check_not_last(session, project_id, person)
        now = studio.shop.clock.now()
        await people.join(session, project_id, person.id, role, now)
    found = await listing(studio, project_id)
    return next((one for one in found if one.name == name), Member(name, role, now))


async def remove(studio: Studio, project_id: str, name: str) -> None:
    """Let a member go; who is none already is gone all the same."""
    async with studio.shop.db.write() as session:
        person = await _person(session, name)
        await _check_not_last(session, project_id, person)
        await people.leave(session, project_id, person.id)


async def _person(session: AsyncSession, name: str) -> User:
    found = await people.by_name(session, name)
    if found is None:
        raise UserNotFound(f"There is no person {name!r}; an administrator can make an account.")
    return found


async def _check_not_last(session: AsyncSession, project_id: str, person: User) -> None:
    if await people.owners(session, project_id) == frozenset({person.id}):
        raise WrongState(
            f"{person.name!r} is the last owner of the project. Make somebody else an owner first."
        )


async def projects_of(studio: Studio, caller: Caller) -> frozenset[str] | None:
    """Return the ids of the projects that a caller may look at; None: all."""
    if caller.is_admin:
        return None
    async with studio.shop.db.read() as session:
        return await people.projects_of(session, caller.user_id)
