"""The money of calls to language and speech models: the ledger that pictures have, and no other.

A paid call has a run and a job of its own, of the kind `words`, for its holds and its attempt to
hang on. Held and reserved, sent, settled: a commit stands before each act, so that after a crash
the rows say what may have been charged. A free call writes none of this.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from sqlalchemy.ext.asyncio import AsyncSession

from maquette import __version__
from maquette.core import correlation, money
from maquette.core.errors import (
    BadParameter,
    BadProviderReply,
    BudgetExceeded,
    Cancelled,
    Conflict,
    MaquetteError,
    NotConfirmed,
    OutcomeUnknown,
    SpendRefused,
)
from maquette.core.language import Spent, charged, used
from maquette.core.money import Nano, Usd
from maquette.core.states import AttemptState, JobState
from maquette.db import events, idempotency, ledger, runs, talk
from maquette.db.tables import Attempt, Job, Project, Run
from maquette.jobs import attempts
from maquette.services import policy, wallets
from maquette.services.starting import Spending
from maquette.services.studio import Studio, T

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Priced:
    """A call that is about to be made."""

    what: str
    """As a person calls it: `chat`, `prompts`, `describe`, `listen`, `speak`."""
    provider: str
    """`language` or `speech`."""
    model: str
    estimate: Usd
    """The most that it can cost."""
    priced_by: Mapping[str, Any] | None = None
    """What the estimate counts by."""


@dataclass(frozen=True)
class Bill:
    """What a call cost and used."""

    cost: Usd | None
    """None: the estimate stands."""
    usage: Mapping[str, Any] | None = None

    @classmethod
    def of(cls, spent: Spent) -> Bill:
        """Return the bill of a call that tells its tokens."""
        return cls(spent.cost, None if spent.usage is None else vars(spent.usage))


Send = Callable[[], Awaitable[tuple[T, Bill]]]
"""Makes the call, once; returns the answer and its bill."""


Commit = Callable[[AsyncSession], Awaitable[None]]
Keep = Callable[[T, Nano], Awaitable[Commit]]
"""Stores what an answer brings and its cost: bytes at once, the rows in the commit it returns."""


async def metered(
    studio: Studio,
    project: Project | None,
    call: Priced,
    spending: Spending,
    send: Send[T],
    keep: Keep[T] | None = None,
) -> T:
    """Make the call under every cap that applies; what costs nothing is made at once.

    Once it is begun it is seen through to its end, though the caller may be cancelled.
    """
    await policy.check_words(studio, spending.by, call.provider, call.model)
    if call.estimate == money.FREE:
        answer, _ = await send()
        if keep is not None:
            commit = await keep(answer, Nano(0))
            async with studio.shop.db.write() as session:
                await commit(session)
        return answer
    check(call, spending)
    if project is None:
        raise _without_project(call)
    return await studio.errands.see_through(_paid(studio, project, call, spending, send, keep))


def check_free(call: Priced) -> None:
    """Refuse a call that costs where nobody has said whose money it is."""
    if call.estimate > 0:
        raise _without_project(call)


def _without_project(call: Priced) -> BadParameter:
    return BadParameter(
        f"This call of {call.model!r} may cost up to {money.show(call.estimate)}, and money is "
        "counted by project, so nothing was sent. Name one with --project, and confirm it with "
        "--confirm-spend."
    )


def check(call: Priced, spending: Spending) -> None:
    """Refuse what was not confirmed, or cannot fit, before anything is written."""
    most = money.show(call.estimate)
    if call.estimate > 0 and not spending.confirmed:
        raise NotConfirmed(
            f"This call of {call.model!r} may cost up to {most}, so nothing was sent. Confirm it: "
            '--confirm-spend, or "confirm_spend": true in a request.'
        )
    if spending.max_spend is not None and call.estimate > spending.max_spend:
        raise BudgetExceeded(
            f"This call of {call.model!r} may cost up to {most}, more than --max-spend "
            f"{money.show(spending.max_spend)}, so nothing was sent. Raise it, or ask for less."
        )


async def _paid(
    studio: Studio,
    project: Project,
    call: Priced,
    spending: Spending,
    send: Send[T],
    keep: Keep[T] | None,
) -> T:
    now = studio.shop.clock.now()
    run_id = f"{now:%Y%m%d-%H%M%S}-{secrets.token_hex(4)}"
    async with studio.shop.db.alive(run_id):  # so that others see that its process lives
        attempt = await _begin(studio, project, call, spending, run_id)
        books = _Books(studio, project.id, attempt)
        try:
            await books.sent(call.what)
        except (SpendRefused, Conflict) as error:
            await books.released(error)
            raise
        try:
            answer, bill = await send()
        except MaquetteError as error:
            raise await books.failed(error) from error
        except Exception as error:
            # A bug of ours may have come after the money was taken.
            log.exception("a call of %s failed in an unforeseen way", call.model)
            await books.doubted(f"{type(error).__name__}: {error}")
            raise
        nano = Nano(attempt.reserved_nano) if bill.cost is None else money.to_nano(bill.cost)
        try:
            commit = None if keep is None else await keep(answer, nano)
            await books.settled(nano, bill.usage, commit=commit)
        except MaquetteError as error:  # it could not be kept, and is paid all the same
            await books.settled(nano, bill.usage, error)
            raise
        return answer


async def _begin(
    studio: Studio, project: Project, call: Priced, spending: Spending, run_id: str
) -> Attempt:
    """Write the run, its job, the hold on every cap and the reserved attempt, in one commit."""
    now, most = studio.shop.clock.now(), money.to_nano(call.estimate)
    limit = None if spending.max_spend is None else money.to_nano(spending.max_spend)
    run = Run(
        id=run_id,
        project_id=project.id,
        kind="words",
        state=JobState.RUNNING.value,
        root=project.root or "",
        settings={"what": call.what},
        versions={"maquette": __version__},
        max_spend_nano=limit,
        worst_case_nano=most,
        confirmed=spending.confirmed,
        creator_id=spending.by,
        correlation_id=correlation.current.get(),
        created_at=now,
        started_at=now,
    )
    job = Job(
        id=f"{run_id}-001",
        run_id=run_id,
        position=0,
        scene=call.what,
        state=JobState.RUNNING.value,
        spec={},
        worst_case_nano=most,
        created_at=now,
        started_at=now,
    )
    attempt = _attempt(job, call, most)
    async with studio.shop.db.write() as session:
        for row in (run, job):
            session.add(row)
            await session.flush()
        if spending.claim is not None:
            await idempotency.claim(session, spending.claim, f"run:{run_id}")
        if limit is not None:
            await ledger.set_cap(session, f"run:{run_id}", limit)
        scope = await wallets.scope(studio, session, project.id, run_id, spending.by)
        await ledger.place_hold(session, job.id, most, scope)
        await ledger.reserve(session, attempt)
    return attempt


def _attempt(job: Job, call: Priced, most: int) -> Attempt:
    return Attempt(
        id=str(uuid4()),
        job_id=job.id,
        call="words",
        number=1,
        state=AttemptState.RESERVED.value,
        provider=call.provider,
        endpoint="default",
        model=call.model[:120],
        paid=True,
        request={"what": call.what},
        priced_by=None if call.priced_by is None else dict(call.priced_by),
        reserved_nano=most,
        settled_nano=0,
        created_at=job.created_at,
    )


@dataclass(frozen=True)
class _Books:
    """The rows of one call: each way it may end is one commit."""

    studio: Studio
    project_id: str
    attempt: Attempt

    async def sent(self, what: str) -> None:
        async with self.studio.shop.db.write() as session:
            await ledger.mark_sent(session, self.attempt.id, True, self.studio.shop.clock.now())
            self.record(session, "sent", call=what)

    async def settled(
        self,
        nano: int,
        usage: Mapping[str, Any] | None,
        error: MaquetteError | None = None,
        *,
        commit: Commit | None = None,
    ) -> None:
        async with self.studio.shop.db.write() as session:
            if commit is not None:
                await commit(session)
            await ledger.note_usage(session, self.attempt.id, usage)
            await ledger.settle(session, self.attempt, nano, self.studio.shop.clock.now())
            reserved = self.attempt.reserved_nano
            self.record(session, "settled", cost_nano=nano, reserved_nano=reserved)
            await self.end(session, JobState.SUCCEEDED if error is None else JobState.FAILED, error)

    async def released(self, error: MaquetteError) -> None:
        async with self.studio.shop.db.write() as session:
            now = self.studio.shop.clock.now()
            await ledger.release(
                session, self.attempt, now, error_code=error.code, error_message=str(error)
            )
            self.record(session, "released", why=str(error))
            await self.end(session, JobState.FAILED, error)

    async def doubted(self, why: str) -> OutcomeUnknown:
        error = attempts.undecided(self.attempt)
        async with self.studio.shop.db.write() as session:
            await ledger.mark_unknown(session, self.attempt, self.studio.shop.clock.now(), why)
            self.record(session, "outcome_unknown", why=why)
            await self.end(session, JobState.OUTCOME_UNKNOWN, error)
        return error

    async def failed(self, error: MaquetteError) -> MaquetteError:
        """Decide by the kind of error whether the call was charged; return what to raise."""
        if isinstance(error, OutcomeUnknown | BadProviderReply):
            cost = charged(error)
            if cost is None:
                return await self.doubted(str(error))
            await self.settled(money.to_nano(cost), used(error), error)
        else:  # by contract: refused, never sent, or wrong before sending
            await self.released(error)
        return error

    async def end(
        self, session: AsyncSession, state: JobState, error: MaquetteError | None
    ) -> None:
        """End the job and its run, and free what the call did not use."""
        await ledger.close_hold(session, self.attempt.job_id)
        job = await session.get_one(Job, self.attempt.job_id)
        run = await session.get_one(Run, job.run_id)
        job.error_code = None if error is None else error.code
        job.error_message = None if error is None else str(error)
        for row in (job, run):
            row.state = state.value
            row.finished_at = self.studio.shop.clock.now()

    def record(self, session: AsyncSession, kind: str, **data: str | int) -> None:
        job_id = self.attempt.job_id
        events.record(
            session,
            kind,
            project_id=self.project_id,
            run_id=job_id.rpartition("-")[0],
            job_id=job_id,
            at=self.studio.shop.clock.now(),
            attempt=self.attempt.id,
            **data,
        )


async def put_in_order(studio: Studio) -> None:
    """Say of the calls of processes that died what is known: sent means that it is unknown."""
    async with studio.shop.db.read() as session:
        open_ = await talk.open_calls(session)
    for run_id in open_:
        async with studio.shop.db.alive(run_id) as gone:
            if gone:
                await _end_abandoned(studio, run_id)


async def _end_abandoned(studio: Studio, run_id: str) -> None:
    async with studio.shop.db.read() as session:
        run = await session.get_one(Run, run_id)
        if JobState(run.state).final:  # it ended just now
            return
        job = (await runs.jobs_of(session, run_id))[0]
        attempt = (await runs.attempts_of(session, job.id))[0]
    books = _Books(studio, run.project_id, attempt)
    if attempt.state == AttemptState.SENT:
        await books.doubted("The program stopped after the call was sent.")
    else:
        await books.released(Cancelled("The program stopped before the call was sent."))
