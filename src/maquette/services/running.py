"""`run`, `resume`, `replay` and cancelling: runs are begun here and worked at the desk."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection

from filelock import FileLock, Timeout

from maquette.core import money
from maquette.core.errors import NotResumable, OutcomeUnknown
from maquette.core.money import Usd
from maquette.core.pipeline import JobSpec
from maquette.core.provider import profile_of
from maquette.core.states import AttemptState, JobState
from maquette.db import events, ledger, runs, trash
from maquette.db.tables import Event, Job, Run
from maquette.jobs.desk import Desk
from maquette.services import chain, closing, notifying, policy, pricing, projects, wallets
from maquette.services.starting import Spending, check_spending
from maquette.services.studio import Studio

_TAKEOVER_S = 0.5
_FOLLOW_S = 0.15


Tell = Callable[[Event], Awaitable[None]]


async def see_through(
    studio: Studio, run_id: str, tell: Tell, leaving: asyncio.Event | None = None
) -> JobState:
    """Work the run, or follow it while another process does; return how it ended.

    Whoever holds the home's lock works all queued runs; when it leaves, a waiting one takes over.
    Once `leaving` is set, other people's runs are handed back as soon as this one has ended.
    """
    unhurried = asyncio.Event()
    stop = asyncio.Event()
    follower = asyncio.create_task(_follow(studio, run_id, tell, stop))
    try:
        while not follower.done():
            lock = FileLock(studio.desk_lock)
            try:
                lock.acquire(timeout=0)
            except Timeout:
                await asyncio.wait([follower], timeout=_TAKEOVER_S)
                continue
            try:
                async with studio.shop.db.desk() as mine:
                    if mine:
                        await _work(studio, run_id, leaving or unhurried)
                        break
            finally:
                lock.release()
            await asyncio.wait([follower], timeout=_TAKEOVER_S)
        await follower
    finally:
        stop.set()
        await asyncio.wait([follower])
    async with studio.shop.db.read() as session:
        return JobState((await runs.by_id(session, run_id)).state)


async def _work(studio: Studio, run_id: str, leaving: asyncio.Event) -> None:
    desk = Desk(studio.shop, studio.new_engine(), lambda ended: closing.finish(studio, ended))

    async def done() -> bool:
        if run_id in desk.problems:
            return True
        async with studio.shop.db.read() as session:
            return JobState((await runs.by_id(session, run_id)).state).final

    await desk.work_until(done, leaving)
    await notifying.tell_due(studio, leaving)
    if run_id in desk.problems:
        raise desk.problems[run_id]


async def _follow(studio: Studio, run_id: str, tell: Tell, stop: asyncio.Event) -> None:
    """Tell the run's events from its last beginning on, until it has ended."""
    async with studio.shop.db.read() as session:
        last = await events.last_of_kinds(session, run_id, ("run_queued", "run_resumed"))
    while not stop.is_set():
        async with studio.shop.db.read() as session:
            ended = JobState((await runs.by_id(session, run_id)).state).final
            news = await events.after(session, run_id, last)
        for event in news:
            last = event.id
            await tell(event)
        if ended and not news:
            return
        if not news:
            await asyncio.sleep(_FOLLOW_S)


async def cancel(studio: Studio, run_id: str) -> None:
    """Ask for a run's end: free work stops, a paid call that was sent is waited for."""
    async with studio.shop.db.write() as session:
        run = await runs.by_id(session, run_id)
        if not JobState(run.state).final and run.cancel_requested_at is None:
            run.cancel_requested_at = studio.shop.clock.now()
            events.record(
                session,
                "cancel_requested",
                project_id=run.project_id,
                run_id=run.id,
                at=studio.shop.clock.now(),
            )


async def resume(
    studio: Studio, run_id: str, spending: Spending, *, only: str | None = None
) -> str:
    """Queue again what a run left undone: interrupted, cancelled and failed jobs, or `only` one.

    Steps that are done stay done; calls that were paid are not paid again.
    """
    async with studio.shop.db.read() as session:
        run = await runs.by_id(session, run_id)
        jobs = [
            job
            for job in await runs.jobs_of(session, run.id)
            if _resumable(job) and only in (None, job.id)
        ]
    _check_resumable(run)
    await _refuse_undecided(studio, run)
    specs = [JobSpec.model_validate(job.spec) for job in jobs]
    await policy.check(studio, spending.by, specs)
    studio = await studio.of_project(run.project_id)
    remaining = {job.id: await _still_to_pay(studio, job) for job in jobs}
    await projects.ready_root(studio, run.project_id, run.root)
    if not jobs:
        if not JobState(run.state).final:
            return run.id
        raise NotResumable(
            f"Run {run.id} has nothing to resume: it {JobState(run.state).value}. "
            f"`maquette replay {run.id}` makes it anew."
        )
    reopened = [job for job in jobs if JobState(job.state).final]
    owed = Usd(sum((remaining[job.id] for job in reopened), start=money.FREE))
    within = await _settled(studio, run) + owed <= money.from_nano(run.worst_case_nano)
    confirmed = spending.confirmed or (run.confirmed and within)
    check_spending(owed, Spending(confirmed, spending.max_spend))
    async with studio.shop.db.write() as session:
        run = await runs.locked(session, run.id)
        now_open = {one.id for one in await runs.jobs_of(session, run.id) if not _ended(one)}
        reopened = [job for job in reopened if job.id not in now_open]
        if spending.max_spend is not None:
            await ledger.set_cap(session, f"run:{run.id}", money.to_nano(spending.max_spend))
        run.cancel_requested_at = None
        run.finished_at = None
        if reopened:
            run.state = JobState.QUEUED.value
        who = spending.by or run.creator_id
        scope = await wallets.scope(studio, session, run.project_id, run.id, who)
        for job in reopened:
            await ledger.place_hold(session, job.id, money.to_nano(remaining[job.id]), scope)
            await runs.set_job(
                session,
                job.id,
                state=JobState.QUEUED.value,
                round=job.round + 1,
                error_code=None,
                error_message=None,
                finished_at=None,
                cancel_requested_at=None,
            )
        events.record(
            session,
            "run_resumed",
            project_id=run.project_id,
            run_id=run.id,
            at=studio.shop.clock.now(),
            jobs=len(jobs),
        )
    return run.id


def _check_resumable(run: Run) -> None:
    if run.foreign:
        raise NotResumable(
            f"Run {run.id} was worked by another installation and only ingested here; resume it "
            "there. `maquette replay` makes it anew here."
        )
    if run.cancel_requested_at is not None and not JobState(run.state).final:
        raise NotResumable(f"Run {run.id} is stopping; wait until it has ended, then resume it.")


def _ended(job: Job) -> bool:
    return JobState(job.state).final


async def _settled(studio: Studio, run: Run) -> Usd:
    async with studio.shop.db.read() as session:
        attempts = [
            attempt
            for job in await runs.jobs_of(session, run.id)
            for attempt in await runs.attempts_of(session, job.id)
        ]
    return money.from_nano(sum(attempt.settled_nano for attempt in attempts))


def _resumable(job: Job) -> bool:
    ended_well = JobState(job.state) in {JobState.SUCCEEDED, JobState.FAILED_OUTPUT_GUARD}
    return not ended_well and job.error_code != trash.PURGED


def checked(studio: Studio, spec: JobSpec, done: Collection[str] = ()) -> None:
    """Raise what today's installation cannot do of a spec; steps that are `done` need nothing."""
    if spec.request is not None:
        provider = studio.shop.providers[spec.request.provider]
        profile_of(provider, spec.request.model)
        provider.check(spec.request)
    chain.check(studio, spec.post, done)


async def _still_to_pay(studio: Studio, job: Job) -> Usd:
    """Price the calls of a job that no settled or standing attempt answers."""
    spec = JobSpec.model_validate(job.spec)
    standing = {AttemptState.SETTLED, AttemptState.SENT, AttemptState.UNKNOWN}
    async with studio.shop.db.read() as session:
        attempts = await runs.attempts_of(session, job.id)
        steps = await runs.steps_of(session, job.id)
    done = {step.name for step in steps if step.state == "done"}
    checked(studio, spec, done)
    answered = {one.call for one in attempts if one.state in standing}
    return pricing.worst_case(studio, spec, answered | done)


async def _refuse_undecided(studio: Studio, run: Run) -> None:
    async with studio.shop.db.read() as session:
        for job in await runs.jobs_of(session, run.id):
            for attempt in await runs.attempts_of(session, job.id):
                if attempt.state == AttemptState.UNKNOWN:
                    raise OutcomeUnknown(
                        f"Run {run.id} has a call whose outcome is unknown ({attempt.id}, scene "
                        f"{job.scene!r}). Decide first: `maquette spend decide {attempt.id} "
                        "--charged` or `--not-charged`."
                    )
