"""Projects, and where their roots are."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from maquette.core import notice
from maquette.core.errors import AlreadyExists, BadParameter, Forbidden, ProjectNotFound
from maquette.core.people import Caller, ProjectRole, Role
from maquette.db import events, people, projects
from maquette.db.tables import Project
from maquette.jobs.workshop import Place
from maquette.services.studio import Studio

_SLUG = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")


PERSONAL = "personal-"
"""How the project begins that a person has for requests that name none."""


class Unsaid:
    """Stands for what nobody said, where None says something."""


UNSAID = Unsaid()


@dataclass(frozen=True)
class ProjectFacts:
    """A project with its counts."""

    slug: str
    name: str
    root: str | None
    runs: int
    assets: int
    created_at: datetime
    notifies: str | None = None
    """Who is told of its runs' ends, without the address's path."""
    quota_bytes: int | None = None


async def create(
    studio: Studio,
    slug: str,
    *,
    name: str | None,
    root: Path | None,
    default_root: bool,
    owner: Caller | None = None,
) -> ProjectFacts:
    """Make a project; its root is a setting written here or given to every command."""
    check_slug(slug)
    if owner is not None and slug.startswith(PERSONAL) and slug != f"{PERSONAL}{owner.name}":
        raise BadParameter(
            f"Names that begin with {PERSONAL!r} are kept for everybody's own project; choose "
            "another one."
        )
    if root is not None and default_root:
        raise BadParameter("Give --root or --default-root, not both.")
    if default_root:
        root = studio.home / "projects" / slug
    folders = None if root is None else studio.shop.place(root).folders
    if folders is not None:
        await asyncio.to_thread(folders.prepare)
    async with studio.shop.db.write() as session:
        made = await projects.create(
            session,
            slug=slug,
            name=name or slug,
            root=None if folders is None else str(folders.root),
            at=studio.shop.clock.now(),
        )
        if owner is not None:
            made.owner_id = owner.user_id
            await people.join(session, made.id, owner.user_id, ProjectRole.OWNER, made.created_at)
        if folders is not None:
            await asyncio.to_thread(folders.check_owner, made.id, slug)
    if folders is not None:
        await asyncio.to_thread(folders.claim, made.id, slug)
    return await show(studio, slug)


def check_slug(slug: str) -> None:
    if not _SLUG.fullmatch(slug):
        raise BadParameter(
            f"{slug!r} cannot name a project: use lower-case letters, digits, - and _, "
            "beginning with a letter or digit, at most 64."
        )


async def set_local_root(studio: Studio, slug: str, root: Path) -> ProjectFacts:
    """Write where the project's root is; files are not moved."""
    folders = studio.shop.place(root).folders
    known = await find(studio, slug)
    await asyncio.to_thread(folders.prepare)
    await asyncio.to_thread(folders.claim, known.id, slug)
    async with studio.shop.db.write() as session:
        project = await projects.by_slug(session, slug)
        project.root = str(folders.root)
    return await show(studio, slug)


async def show(studio: Studio, slug: str) -> ProjectFacts:
    async with studio.shop.db.read() as session:
        project = await projects.by_slug(session, slug)
        counts = await projects.counts(session, [project.id])
    return _facts(project, counts)


def _facts(project: Project, counts: Mapping[str, tuple[int, int]]) -> ProjectFacts:
    runs, assets = counts[project.id]
    return ProjectFacts(
        project.slug,
        project.name,
        project.root,
        runs,
        assets,
        project.created_at,
        notice.shown(project.notify_url),
        project.quota_bytes,
    )


@dataclass(frozen=True)
class Changes:
    """What is to be different in a project; `Unsaid` members stay as they are."""

    name: str | Unsaid = UNSAID
    notify_url: str | Unsaid | None = UNSAID
    quota_bytes: int | Unsaid | None = UNSAID


async def change(
    studio: Studio, slug: str, wanted: Changes, caller: Caller | None = None
) -> ProjectFacts:
    """Change a project; how much it may hold is an administrator's word."""
    if not isinstance(wanted.quota_bytes, Unsaid) and caller is not None and not caller.is_admin:
        raise Forbidden("Only an administrator changes how much a project may hold; ask one.")
    if isinstance(wanted.notify_url, str):
        notice.checked(wanted.notify_url)
    async with studio.shop.db.write() as session:
        project = await projects.by_slug(session, slug)
        for name, value in vars(wanted).items():
            if not isinstance(value, Unsaid):
                setattr(project, name, value)
        events.record(session, "project_changed", project_id=project.id, at=studio.shop.clock.now())
    return await show(studio, slug)


async def listing(studio: Studio, caller: Caller | None = None) -> Sequence[ProjectFacts]:
    """Return all projects, or those that a caller is a member of."""
    async with studio.shop.db.read() as session:
        found = list(await projects.everyone(session))
        if caller is not None and not caller.is_admin:
            own = await people.projects_of(session, caller.user_id)
            found = [one for one in found if one.id in own]
        counts = await projects.counts(session, [one.id for one in found])
    return [_facts(one, counts) for one in found]


async def find(studio: Studio, slug: str) -> Project:
    async with studio.shop.db.read() as session:
        return await projects.by_slug(session, slug)


async def root_of(
    studio: Studio,
    slug: str,
    given: Path | None,
    *,
    resolve: bool = True,
    required: bool = False,
) -> Path:
    """Return the root: `--project-root` wins, else the project's setting, else an error."""
    check_slug(slug)
    setting: str | None = None
    if resolve:
        try:
            setting = (await find(studio, slug)).root
        except ProjectNotFound as error:
            if given is None:
                raise ProjectNotFound(
                    f"{error} Or give --project-root DIR: the first run then makes the project."
                ) from None
            if required:
                raise
    if required and setting is None:
        raise BadParameter(
            f"The project {slug!r} has no root in the database and --backend-storage-required "
            f"is set. `maquette project storage set-local {slug} --root DIR` writes one."
        )
    if given is not None:
        return given.expanduser().absolute()
    if setting is None:
        raise BadParameter(
            f"It is not known where the project {slug!r} keeps its files. Give --project-root DIR, "
            f"or write it once with `maquette project storage set-local {slug} --root DIR`."
        )
    return Path(setting)


async def find_or_make(studio: Studio, slug: str) -> Project:
    """Return the project; the first run with `--project-root` makes it."""
    with suppress(ProjectNotFound):
        return await find(studio, slug)
    try:
        async with studio.shop.db.write() as session:
            return await projects.create(
                session, slug=slug, name=slug, root=None, at=studio.shop.clock.now()
            )
    except AlreadyExists:  # another first run was quicker
        return await find(studio, slug)


async def personal(studio: Studio, caller: Caller) -> Project:
    """Return a person's own project, made on first use: for requests that name none."""
    slug = f"{PERSONAL}{caller.name}"
    try:
        return await find(studio, slug)
    except ProjectNotFound:
        if caller.role is Role.VIEWER:
            raise Forbidden(
                "Your account only looks, so it has no project of its own; name one that you are "
                "a member of in the header X-Maquette-Project."
            ) from None
    name = f"{caller.name}'s own"
    with suppress(AlreadyExists):  # another first request was quicker
        await create(studio, slug, name=name, root=None, default_root=True, owner=caller)
    return await find(studio, slug)


async def at_root(studio: Studio, slug: str, place: Place) -> Project:
    """Return the project, made on first use, with its root ready and its own."""
    await asyncio.to_thread(place.folders.prepare)
    try:
        project = await find(studio, slug)
    except ProjectNotFound:
        await asyncio.to_thread(place.folders.check_owner, None, slug)
        project = await find_or_make(studio, slug)
    await asyncio.to_thread(place.folders.claim, project.id, slug)
    return project


async def ready_root(studio: Studio, project_id: str, root: str) -> None:
    """Make the root of an older run ready, and sure that it is still its project's."""
    async with studio.shop.db.read() as session:
        project = await session.get_one(Project, project_id)
    folders = studio.shop.place(root).folders
    await asyncio.to_thread(folders.prepare)
    await asyncio.to_thread(folders.claim, project.id, project.slug)
