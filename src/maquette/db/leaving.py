"""Taking a project's rows away for good; what it cost stays in the books."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import delete, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from maquette.core.states import AttemptState
from maquette.db import portable
from maquette.db import tables as t
from maquette.db.tables import Attempt, Job, PastSpending, Project, Run

_UNDECIDED = (AttemptState.RESERVED, AttemptState.SENT, AttemptState.UNKNOWN)


async def undecided(session: AsyncSession, project_id: str) -> int:
    """Count the calls whose money nobody knows yet."""
    query = (
        select(func.count(Attempt.id))
        .join(Job, Job.id == Attempt.job_id)
        .join(Run, Run.id == Job.run_id)
        .where(Run.project_id == project_id, Attempt.state.in_(_UNDECIDED), ~Run.foreign)
    )
    return int((await session.execute(query)).scalar_one())


async def paid_calls(session: AsyncSession, project_id: str) -> Sequence[tuple[Attempt, str]]:
    """Return every paid call that was sent from here, with its run."""
    query = (
        select(Attempt, Run.id)
        .join(Job, Job.id == Attempt.job_id)
        .join(Run, Run.id == Job.run_id)
        .where(
            Run.project_id == project_id,
            Attempt.sent_at.is_not(None),
            Attempt.paid,
            ~Run.foreign,
        )
    )
    return (await session.execute(query)).all()


async def past(session: AsyncSession, slug: str | None) -> Sequence[PastSpending]:
    """Return what deleted projects cost, or one that had this slug."""
    query = select(PastSpending)
    if slug is not None:
        query = query.where(PastSpending.project == slug)
    return (await session.execute(query)).scalars().all()


async def remember(session: AsyncSession, line: PastSpending) -> None:
    """Keep what calls cost; where some of the same are told of already, the larger numbers."""
    key = (line.run_id, line.day, line.provider, line.model)
    known = await session.get(PastSpending, key)
    if known is None:
        session.add(line)
        return
    known.calls = max(known.calls, line.calls)
    known.estimated_nano = max(known.estimated_nano, line.estimated_nano)
    known.settled_nano = max(known.settled_nano, line.settled_nano)


async def lock(session: AsyncSession, project_id: str) -> None:
    """Let nothing new begin in a project until the transaction ends."""
    await session.execute(select(Project.id).where(Project.id == project_id).with_for_update())


async def forget(session: AsyncSession, project_id: str) -> None:
    """Delete every row of a project: whoever refers goes before what is referred to.

    The counters under the caps stay: what was spent was spent.
    """
    runs = select(Run.id).where(Run.project_id == project_id)
    jobs = select(Job.id).where(Job.run_id.in_(runs))
    assets = select(t.Asset.id).where(t.Asset.project_id == project_id)
    of_runs = select("run:" + Run.id).where(Run.project_id == project_id)
    own = (f"project:{project_id}", f"project-day:{project_id}")
    for table, which in (
        (t.Cap, t.Cap.key.in_(own) | t.Cap.key.in_(of_runs)),
        (t.CapAlert, t.CapAlert.cap_key.in_(own)),
        (t.Notice, t.Notice.run_id.in_(runs)),
        (t.HoldBudget, t.HoldBudget.job_id.in_(jobs)),
        (t.Hold, t.Hold.job_id.in_(jobs)),
        (t.AssetParent, t.AssetParent.asset_id.in_(assets) | t.AssetParent.parent_id.in_(assets)),
        (t.Favourite, t.Favourite.asset_id.in_(assets)),
        *(
            (table, table.project_id == project_id)
            for table in (t.Secret, t.Membership, t.Upload, t.Export, t.Event)
        ),
    ):
        await session.execute(delete(table).where(which))
    for carried in reversed(portable.CARRIED):
        await session.execute(delete(carried.table).where(carried.whose(project_id)))
    session.expunge_all()
