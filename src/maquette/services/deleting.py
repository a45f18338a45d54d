"""A project is deleted: its rows in one commit, its files only where a person says so."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime
from itertools import count
from pathlib import Path

from sqlalchemy.ext.asyncio import AsyncSession

from maquette.core.errors import BadParameter, WrongState
from maquette.core.states import AttemptState
from maquette.db import events, leaving, projects
from maquette.db.tables import PastSpending, Project
from maquette.disk import explained, sync_folder
from maquette.services.packing import refuse_busy
from maquette.services.studio import Studio


@dataclass(frozen=True)
class Deleted:
    """What was deleted, and where its files are now."""

    slug: str
    root: str | None
    moved_to: str | None = None


async def delete(studio: Studio, slug: str, *, files: bool = False) -> Deleted:
    """Delete a project's rows, its secrets among them; with `files`, put its root aside.

    What its calls cost stays in the report and under the caps.
    """
    async with studio.shop.db.write() as session:
        project = await projects.by_slug(session, slug)
        if files:
            await _check_root(studio, session, project)
        await leaving.lock(session, project.id)
        await refuse_busy(session, project)
        await _refuse_undecided(session, project)
        for line in await past(studio, session, project):
            await leaving.remember(session, line)
        await session.flush()
        await leaving.forget(session, project.id)
        now = studio.shop.clock.now()
        events.record(session, "project_deleted", project_id=project.id, at=now, slug=slug)
    if not files or project.root is None:
        return Deleted(slug, project.root)
    goal = await asyncio.to_thread(_put_aside, Path(project.root), now)
    return Deleted(slug, project.root, None if goal is None else str(goal))


async def _check_root(studio: Studio, session: AsyncSession, project: Project) -> None:
    """Move no folder that is another's, or that another project of this database uses."""
    if project.root is None:
        raise BadParameter(
            f"It is not known where {project.slug!r} keeps its files, so they cannot be moved. "
            "Delete it without its files."
        )
    folders = studio.shop.place(project.root).folders
    await asyncio.to_thread(folders.check_owner, project.id, project.slug)
    if await projects.with_root(session, project.root, besides=project.id):
        raise WrongState(f"Another project has the root {project.root!r} too; leave the files.")


async def _refuse_undecided(session: AsyncSession, project: Project) -> None:
    unknown = await leaving.undecided(session, project.id)
    if unknown:
        raise WrongState(
            f"{unknown} calls of {project.slug!r} may have been charged, and nobody has decided. "
            "`maquette spend unknown` lists them; decide, then delete."
        )


async def past(studio: Studio, session: AsyncSession, project: Project) -> list[PastSpending]:
    """Return what a project's calls cost, as the books keep it when it goes; nothing is added."""
    lines: dict[tuple[str, str, str, str], PastSpending] = {}
    for attempt, run_id in await leaving.paid_calls(session, project.id):
        day = attempt.day or studio.shop.clock.day_of(attempt.sent_at or attempt.created_at)
        key = (run_id, day, attempt.provider, attempt.model)
        line = lines.setdefault(
            key,
            PastSpending(
                run_id=run_id,
                day=day,
                provider=attempt.provider,
                model=attempt.model,
                project=project.slug,
                user_id=attempt.user_id,
                calls=0,
                estimated_nano=0,
                settled_nano=0,
            ),
        )
        charged = attempt.state in {AttemptState.SETTLED, AttemptState.WRITTEN_OFF}
        line.user_id = attempt.user_id if line.user_id == attempt.user_id else None
        line.calls += 1
        line.estimated_nano += attempt.reserved_nano if charged else 0
        line.settled_nano += attempt.settled_nano
    return list(lines.values())


def _put_aside(root: Path, at: datetime) -> Path | None:
    """Rename the root beside itself, to a name that nothing has; None where it is gone."""
    with explained(root):
        if not root.is_dir():
            return None
        stem = f"{root.name}.deleted-{at:%Y%m%d-%H%M%S}"
        names = (f"{stem}{'' if number == 1 else f'-{number}'}" for number in count(1))
        goal = next(path for name in names if not (path := root.with_name(name)).exists())
        root.rename(goal)
        sync_folder(root.parent)
    return goal
