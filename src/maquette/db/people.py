"""People and their memberships."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import uuid4

from sqlalchemy import delete, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from maquette.core.errors import AlreadyExists
from maquette.core.people import ProjectRole, Role
from maquette.db.tables import LoginSession, Membership, Project, User
from maquette.db.upsert import insert_missing


async def by_name(session: AsyncSession, name: str) -> User | None:
    return (await session.execute(select(User).where(User.name == name))).scalar_one_or_none()


async def by_id(session: AsyncSession, user_id: str) -> User | None:
    return await session.get(User, user_id)


async def names(session: AsyncSession) -> Sequence[tuple[str, str]]:
    """Return everybody's id and name."""
    return [(one, name) for one, name in await session.execute(select(User.id, User.name))]


async def owned(session: AsyncSession, user_id: str) -> Sequence[Project]:
    """Return the projects that a person is an owner of."""
    query = select(Project).join(Membership, Membership.project_id == Project.id)
    mine = query.where(Membership.user_id == user_id, Membership.role == ProjectRole.OWNER.value)
    return (await session.execute(mine)).scalars().all()


async def make_missing(session: AsyncSession, name: str, role: Role, at: datetime) -> User:
    """Return the person of that name, made where there is none."""
    found = await by_name(session, name)
    if found is None:
        row = {"id": str(uuid4()), "name": name, "role": role.value, "created_at": at}
        await insert_missing(session, User, [{**row, "epoch": 0, "verified": False}])
        found = await by_name(session, name)
        assert found is not None, "it was inserted, by us or by who was quicker"
    return found


async def add(session: AsyncSession, person: User) -> None:
    """Add a person; after `AlreadyExists` the transaction must end."""
    said = f"There is a person {person.name!r} already; choose another name."
    if await by_name(session, person.name) is not None:
        raise AlreadyExists(said)
    session.add(person)
    try:
        await session.flush()
    except IntegrityError as error:  # two at once, on a server
        raise AlreadyExists(said) from error


async def page(session: AsyncSession, limit: int, after: str = "") -> Sequence[User]:
    """Return people by name, from the one that follows `after`."""
    query = select(User).where(User.name > after).order_by(User.name).limit(limit)
    return (await session.execute(query)).scalars().all()


async def for_change(session: AsyncSession, name: str) -> User | None:
    """Return a person whom nobody else may change before this transaction ends."""
    query = select(User).where(User.name == name).with_for_update()
    return (await session.execute(query)).scalar_one_or_none()


async def administrators(session: AsyncSession) -> Sequence[User]:
    """Return those who are enabled; two that leave at once wait for each other here."""
    query = (
        select(User)
        .where(User.role == Role.ADMIN.value, User.disabled_at.is_(None))
        .order_by(User.id)
        .with_for_update()
    )
    return (await session.execute(query)).scalars().all()


async def end_everything(session: AsyncSession, user_id: str, but: str | None = None) -> None:
    """End a person's access tokens and their sessions, all but one where it is named."""
    await session.execute(update(User).where(User.id == user_id).values(epoch=User.epoch + 1))
    ended = delete(LoginSession).where(LoginSession.user_id == user_id)
    await session.execute(ended if but is None else ended.where(LoginSession.id != but))


async def role_in(session: AsyncSession, project_id: str, user_id: str) -> ProjectRole | None:
    found = await session.get(Membership, (project_id, user_id))
    return None if found is None else ProjectRole(found.role)


async def join(
    session: AsyncSession, project_id: str, user_id: str, role: ProjectRole, at: datetime
) -> None:
    """Make a person a member of a project, or change what they are in it."""
    row = {"project_id": project_id, "user_id": user_id, "role": role.value, "created_at": at}
    await insert_missing(session, Membership, [row])
    changed = update(Membership).where(
        Membership.project_id == project_id, Membership.user_id == user_id
    )
    await session.execute(changed.values(role=role.value))


async def leave(session: AsyncSession, project_id: str, user_id: str) -> None:
    await session.execute(
        delete(Membership).where(Membership.project_id == project_id, Membership.user_id == user_id)
    )


async def members(session: AsyncSession, project_id: str) -> Sequence[tuple[User, Membership]]:
    """Return a project's members by name."""
    query = (
        select(User, Membership)
        .join(Membership, Membership.user_id == User.id)
        .where(Membership.project_id == project_id)
        .order_by(User.name)
    )
    return [(user, member) for user, member in await session.execute(query)]


async def owners(session: AsyncSession, project_id: str) -> frozenset[str]:
    """Return the ids of a project's owners; changes of one project wait for each other here."""
    await session.execute(select(Project.id).where(Project.id == project_id).with_for_update())
    query = select(Membership.user_id).where(
        Membership.project_id == project_id, Membership.role == ProjectRole.OWNER.value
    )
    return frozenset((await session.execute(query)).scalars())


async def projects_of(session: AsyncSession, user_id: str) -> frozenset[str]:
    query = select(Membership.project_id).where(Membership.user_id == user_id)
    return frozenset((await session.execute(query)).scalars())
