"""The rows of provider calls: each change is one commit, before the act that it tells of."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from uuid import uuid4

from maquette.core import money
from maquette.core.errors import MaquetteError, ObjectNotFound, OutcomeUnknown
from maquette.core.provider import Provider, profile_of
from maquette.core.requests import ImageRequest
from maquette.core.states import AttemptState
from maquette.core.storage import reply_key
from maquette.db import ledger, runs
from maquette.db.tables import Attempt
from maquette.jobs.job import Bench
from maquette.jobs.runside import rescued


@dataclass(frozen=True)
class Call:
    """A provider call that one step makes."""

    name: str
    request: ImageRequest


async def standing(bench: Bench, name: str) -> Attempt | None:
    """Return the attempt that an earlier process left open."""
    open_states = {AttemptState.RESERVED, AttemptState.SENT, AttemptState.UNKNOWN}
    async with bench.shop.db.read() as session:
        rows = await runs.attempts_of(session, bench.job_id)
    mine = [one for one in rows if one.call == name and one.state in open_states]
    return mine[-1] if mine else None


async def put_in_order(bench: Bench) -> OutcomeUnknown | None:
    """Leave no attempt of an ending job half-way: free what was not sent, doubt what was.

    What can still be collected (a ticket, a stored reply) stays as it is for a resume.
    """
    unknown: OutcomeUnknown | None = None
    async with bench.shop.db.read() as session:
        rows = await runs.attempts_of(session, bench.job_id)
    for attempt in rows:
        if attempt.state == AttemptState.RESERVED:
            await release(bench, attempt)
        elif attempt.state == AttemptState.SENT and not attempt.paid:
            await release(bench, attempt, state=AttemptState.LOST)
        elif attempt.state == AttemptState.SENT and attempt.ticket is None:
            if await stored_reply(bench, attempt) is None:
                await doubt(bench, attempt, "The job ended while the call was under way.")
                unknown = undecided(attempt)
        elif attempt.state == AttemptState.UNKNOWN:
            unknown = undecided(attempt)
    return unknown


async def reserve(bench: Bench, provider: Provider, wanted: Call, estimate: int) -> Attempt:
    """Write the attempt, and move its price from the job's hold, in one commit."""
    profile = profile_of(provider, wanted.request.model)
    price = provider.priced_by(wanted.request) if profile.paid else None
    async with bench.shop.db.write() as session:
        earlier = await runs.attempts_of(session, bench.job_id)
        attempt = Attempt(
            id=str(uuid4()),
            job_id=bench.job_id,
            call=wanted.name,
            number=1 + sum(one.call == wanted.name for one in earlier),
            state=AttemptState.RESERVED.value,
            provider=provider.id,
            endpoint="default",
            model=wanted.request.model,
            paid=profile.paid,
            request=wanted.request.model_dump(mode="json"),
            priced_by=None if price is None else dict(price),
            reserved_nano=estimate,
            settled_nano=0,
            created_at=bench.shop.clock.now(),
        )
        await ledger.reserve(session, attempt)
    return attempt


async def release(
    bench: Bench,
    attempt: Attempt,
    *,
    state: AttemptState = AttemptState.RELEASED,
    error: Exception | None = None,
) -> None:
    """Close an attempt that was not charged; its money goes back."""
    async with bench.shop.db.write() as session:
        await ledger.release(
            session,
            attempt,
            bench.shop.clock.now(),
            state=state,
            error_code=error.code if isinstance(error, MaquetteError) else None,
            error_message=None if error is None else str(error),
        )
        bench.record(session, "released", attempt=attempt.id, why=str(error or state.value))


async def doubt(bench: Bench, attempt: Attempt, why: str) -> None:
    """Say in the rows that the call may have been charged."""
    async with bench.shop.db.write() as session:
        await ledger.mark_unknown(session, attempt, bench.shop.clock.now(), why)
        bench.record(session, "outcome_unknown", attempt=attempt.id, why=why)


def undecided(attempt: Attempt) -> OutcomeUnknown:
    """Return the error that puts an attempt before a person."""
    price = money.show(money.from_nano(attempt.reserved_nano))
    return OutcomeUnknown(
        f"Attempt {attempt.id} was sent to {attempt.provider!r} and its answer was lost: up to "
        f"{price} may have been charged and stays counted. Look at the provider's own usage page, "
        f"then `maquette spend decide {attempt.id} --charged` or `--not-charged`.",
        attempt=attempt.id,
    )


async def stored_reply(bench: Bench, attempt: Attempt) -> bytes | None:
    """Return the reply that was kept before it was parsed."""
    kept = rescued(bench, attempt)
    if kept.is_file():
        return await asyncio.to_thread(kept.read_bytes)
    try:
        return await bench.place.storage.read(reply_key(attempt.id))
    except ObjectNotFound:
        return None
