"""Beginning a run: what was allowed, the inputs into the store, the rows in one commit."""

from __future__ import annotations

import asyncio
import platform
import secrets
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version

from sqlalchemy.ext.asyncio import AsyncSession

from maquette import __version__
from maquette.core import correlation, money
from maquette.core.errors import BadParameter, BudgetExceeded, CapabilityMissing, NotConfirmed
from maquette.core.money import Usd
from maquette.core.pipeline import JobSpec
from maquette.core.requests import Digest
from maquette.core.states import JobState
from maquette.core.storage import object_key
from maquette.db import assets, events, idempotency, ledger
from maquette.db.idempotency import Claim
from maquette.db.tables import Job, Project, Run
from maquette.jobs.workshop import Place
from maquette.services import policy, projects, wallets
from maquette.services.inputs import GivenPicture, asset_of
from maquette.services.planning import Plan, PlannedJob
from maquette.services.secrets import seen_by
from maquette.services.studio import Studio

Note = Callable[[AsyncSession, str], Awaitable[None]]
"""Is told the id of a run in the commit that makes it."""


@dataclass(frozen=True)
class Spending:
    """What a person allows a run to cost."""

    confirmed: bool = False
    max_spend: Usd | None = None
    priority: int = 0
    by: str | None = None
    """The id of the person who begins it."""
    claim: Claim | None = None
    """The idempotency key that the run is noted under, in the commit that makes it."""
    note: Note | None = None
    """Writes down for whom the run is made, in that same commit; raising undoes all of it."""


def check_spending(worst_case: Usd, spending: Spending) -> None:
    """Refuse what was not confirmed, or cannot fit, before anything is written."""
    if worst_case > 0 and not spending.confirmed:
        raise NotConfirmed(
            f"This run may cost up to {money.show(worst_case)}, so nothing was sent. "
            "Confirm that the money may be spent; a dry run shows the plan.",
        )
    if spending.max_spend is not None and worst_case > spending.max_spend:
        raise BudgetExceeded(
            f"This run may cost up to {money.show(worst_case)}, more than its limit of "
            f"{money.show(spending.max_spend)}, so nothing was sent. Raise it, or ask for less.",
            cap="own",
        )


async def start(studio: Studio, plan: Plan, spending: Spending) -> str:
    """Store the inputs, then write the run, its jobs and their holds in one commit."""
    check_spending(plan.worst_case, spending)
    studio = await seen_by(studio, plan.order.project)
    missing = studio.missing(studio.shop.providers[plan.provider])
    if missing is not None:
        raise CapabilityMissing(f"{plan.provider!r} is not ready, so nothing was sent: {missing}")
    place = studio.shop.place(plan.root)
    project = await projects.at_root(studio, plan.order.project, place)
    await _store_inputs(studio, project, place, plan.jobs)
    specs = [(job.spec, job.worst_case) for job in plan.jobs]
    order = plan.order.model_dump(mode="json")
    return await write_run(studio, project, str(plan.root), order, specs, spending)


async def _store_inputs(
    studio: Studio, project: Project, place: Place, jobs: Sequence[PlannedJob]
) -> None:
    given: dict[tuple[str, str], GivenPicture] = {}
    for job in jobs:
        pairs = [("source", job.source), *(("reference", one) for one in job.references)]
        for kind, picture in pairs:
            given.setdefault((kind, picture.as_input("init").digest), picture)
    for (_, digest), picture in given.items():
        await place.storage.put(object_key(Digest(digest)), await asyncio.to_thread(picture.read))
    async with studio.shop.db.write() as session:
        for (kind, digest), picture in given.items():
            if await assets.used_again(session, project.id, digest, kind) is None:
                await _add_input(studio, session, project, kind, picture)


async def _add_input(
    studio: Studio, session: AsyncSession, project: Project, kind: str, picture: GivenPicture
) -> None:
    digest = picture.as_input("init").digest
    blob = assets.NewBlob(digest, size_bytes=picture.size_bytes, **vars(picture.facts))
    origin = asset_of(picture.path)
    new = assets.NewAsset(
        blob=blob,
        kind=kind,
        name=picture.path.name,
        made_by={"file": picture.path.name},
        parents=() if origin is None else ((origin, "init"),),
    )
    await assets.add(session, project.id, new, studio.shop.clock.now())


async def write_run(
    studio: Studio,
    project: Project,
    root: str,
    order: dict[str, object],
    specs: Sequence[tuple[JobSpec, Usd]],
    spending: Spending,
    *,
    replay_of: str | None = None,
) -> str:
    if not -100 <= spending.priority <= 100:
        raise BadParameter(f"The priority {spending.priority} is out of range; give -100 to 100.")
    await policy.check(studio, spending.by, [spec for spec, _ in specs])
    now = studio.shop.clock.now()
    run_id = f"{now:%Y%m%d-%H%M%S}-{secrets.token_hex(4)}"
    total = sum((worst for _, worst in specs), start=money.FREE)
    limit = spending.max_spend
    async with studio.shop.db.write() as session:
        session.add(
            Run(
                id=run_id,
                project_id=project.id,
                state=JobState.QUEUED.value,
                root=root,
                settings=order,
                versions=dict(_versions()),
                replay_of=replay_of,
                max_spend_nano=None if limit is None else money.to_nano(limit),
                worst_case_nano=money.to_nano(Usd(total)),
                confirmed=spending.confirmed,
                creator_id=spending.by,
                correlation_id=correlation.current.get(),
                created_at=now,
            )
        )
        if spending.claim is not None:
            await idempotency.claim(session, spending.claim, f"run:{run_id}")
        await session.flush()
        if limit is not None:
            await ledger.set_cap(session, f"run:{run_id}", money.to_nano(limit))
        scope = await wallets.scope(studio, session, project.id, run_id, spending.by)
        for position, (spec, worst) in enumerate(specs):
            job = _job_row(run_id, position, spec, worst)
            job.created_at = now
            job.priority = spending.priority
            session.add(job)
            await session.flush()
            await ledger.place_hold(session, job.id, job.worst_case_nano, scope)
        if spending.note is not None:
            await spending.note(session, run_id)
        events.record(
            session, "run_queued", project_id=project.id, run_id=run_id, at=now, jobs=len(specs)
        )
    return run_id


def _job_row(run_id: str, position: int, spec: JobSpec, worst: Usd) -> Job:
    return Job(
        id=f"{run_id}-{position + 1:03d}",
        run_id=run_id,
        position=position,
        scene=spec.scene,
        state=JobState.QUEUED.value,
        spec=spec.model_dump(mode="json"),
        round=0,
        worst_case_nano=money.to_nano(worst),
    )


@cache
def _versions() -> dict[str, str]:
    """Look once: it reads a file for each, and stays as it is while the program runs."""
    names = ("numpy", "opencv-python-headless", "pillow", "numba")
    return {
        "maquette": __version__,
        "python": platform.python_version(),
        **{name: version(name) for name in names},
    }
