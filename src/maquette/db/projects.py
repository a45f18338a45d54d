"""Projects by slug."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from difflib import get_close_matches
from uuid import uuid4

from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from maquette.core.errors import AlreadyExists, ProjectNotFound
from maquette.db.runs import OF_PICTURES
from maquette.db.tables import Asset, Project, Run


async def by_slug(session: AsyncSession, slug: str) -> Project:
    found = (
        await session.execute(select(Project).where(Project.slug == slug))
    ).scalar_one_or_none()
    if found is not None:
        return found
    slugs = (await session.execute(select(Project.slug))).scalars().all()
    near = get_close_matches(slug, slugs, n=1)
    hint = f"Did you mean {near[0]!r}? " if near else ""
    raise ProjectNotFound(
        f"There is no project {slug!r}. {hint}"
        f"`maquette project create {slug} --root DIR` makes one."
    )


async def by_id(session: AsyncSession, project_id: str) -> Project | None:
    return await session.get(Project, project_id)


async def create(
    session: AsyncSession, *, slug: str, name: str, root: str | None, at: datetime
) -> Project:
    """Add a project; after `AlreadyExists` the transaction must end."""
    said = f"There is a project {slug!r} already; choose another name."
    taken = (await session.execute(select(Project.id).where(Project.slug == slug))).first()
    if taken is not None:
        raise AlreadyExists(said)
    project = Project(id=str(uuid4()), slug=slug, name=name, root=root, created_at=at)
    session.add(project)
    try:
        await session.flush()
    except IntegrityError as error:  # two at once, on a server
        raise AlreadyExists(said) from error
    return project


async def at_root(session: AsyncSession, root: str) -> set[str]:
    """Return the ids of the projects that have this root, else of those that once worked there."""
    now = await session.execute(select(Project.id).where(Project.root == root))
    found = set(now.scalars())
    if found:
        return found
    once = await session.execute(select(Run.project_id).where(Run.root == root).distinct())
    return set(once.scalars())


async def with_root(session: AsyncSession, root: str, *, besides: str) -> Sequence[str]:
    """Return the slugs of the other projects that have this root."""
    query = select(Project.slug).where(Project.root == root, Project.id != besides)
    return (await session.execute(query.order_by(Project.slug))).scalars().all()


async def everyone(session: AsyncSession) -> Sequence[Project]:
    return (await session.execute(select(Project).order_by(Project.slug))).scalars().all()


async def adopt_row(session: AsyncSession, known: Project) -> Project:
    """Return a project of another database as this one has it; write it where it is new."""
    same = (Project.id == known.id) | (Project.slug == known.slug)
    found = (await session.execute(select(Project).where(same))).scalars().first()
    if found is None:
        found = Project(
            id=known.id,
            slug=known.slug,
            name=known.name,
            root=known.root,
            created_at=known.created_at,
        )
        session.add(found)
        await session.flush()
    return found


async def counts(session: AsyncSession, ids: Sequence[str]) -> dict[str, tuple[int, int]]:
    """Return how many runs and assets each of the projects has."""
    both: list[dict[str, int]] = []
    for column, further in ((Run.project_id, [OF_PICTURES]), (Asset.project_id, [])):
        query = select(column, func.count()).where(column.in_(ids), *further).group_by(column)
        both.append(dict((await session.execute(query)).all()))
    return {one: (both[0].get(one, 0), both[1].get(one, 0)) for one in ids}
