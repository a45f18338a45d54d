"""One provider call: at most one payment, at least one delivery.

Reserved, sent, settled: a commit stands before each act, so that after a crash at any point
the rows say what may have happened. Nothing that may have been charged is ever sent again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, ParamSpec, TypeVar

from sqlalchemy.ext.asyncio import AsyncSession

from maquette.core import money
from maquette.core.errors import (
    BadProviderReply,
    Cancelled,
    Conflict,
    MaquetteError,
    NotCollected,
    OutcomeUnknown,
    ProviderError,
    ProviderRefused,
    RateLimited,
    Retry,
    SpendRefused,
    StorageFull,
    StorageUnavailable,
)
from maquette.core.money import Usd
from maquette.core.provider import Provider, Ticket, priced
from maquette.core.requests import Generated, ImageRequest
from maquette.core.states import AttemptState
from maquette.db import ledger
from maquette.db.tables import Attempt
from maquette.jobs import attempts
from maquette.jobs.attempts import Call
from maquette.jobs.job import Bench
from maquette.jobs.runside import RunSide

P = ParamSpec("P")
R = TypeVar("R")
_ROOM_BYTES = 64 * 1024 * 1024
"""Free space asked for before money is spent on pictures that must be stored."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Answer:
    """What a call brought, not settled yet: the step commits both together."""

    attempt: Attempt
    generated: Generated
    charged_nano: int

    async def settle(self, session: AsyncSession, bench: Bench) -> None:
        now = bench.shop.clock.now()
        stored = await session.get_one(Attempt, self.attempt.id)
        stored.effective = self.generated.effective.model_dump(mode="json")
        stored.usage = None if self.generated.usage is None else dict(self.generated.usage)
        await session.flush()
        await ledger.settle(session, self.attempt, self.charged_nano, now)
        bench.record(
            session,
            "settled",
            attempt=self.attempt.id,
            cost_nano=self.charged_nano,
            reserved_nano=self.attempt.reserved_nano,
        )


async def call(bench: Bench, wanted: Call) -> Answer:
    """Return the answer of the call: found, fetched or paid for, in that order."""
    provider = bench.shop.providers[wanted.request.provider]
    standing = await attempts.standing(bench, wanted.name)
    if standing is not None:
        answer = await _recover(bench, provider, wanted, standing)
        if answer is not None:
            return answer
    tried = 0
    while True:
        tried += 1
        bench.check()
        try:
            async with bench.shop.gates.to(provider.id, provider.limits()).call(bench.pause):
                return await _attempt(bench, provider, wanted)
        except ProviderError as error:
            if error.retry is Retry.NEVER or tried >= bench.shop.retries.tries:
                raise
            last = error
        await _be_patient(bench, wanted, tried, last)


async def _be_patient(bench: Bench, wanted: Call, tried: int, error: ProviderError) -> None:
    """Wait as long as the provider asks, where that is bearable."""
    asked = error.retry_after if isinstance(error, RateLimited) else None
    if asked is not None and asked > bench.shop.retries.longest_asked_s:
        raise error
    wait_s = bench.shop.retries.wait_s(tried, asked)
    await bench.tell("waiting", step=wanted.name, seconds=wait_s, why=str(error))
    await bench.pause(wait_s)


async def _recover(
    bench: Bench, provider: Provider, wanted: Call, attempt: Attempt
) -> Answer | None:
    """Finish what a dead process began; None where the call may be made (again)."""
    if attempt.state == AttemptState.RESERVED:
        await attempts.release(bench, attempt)
        return None
    if attempt.state == AttemptState.UNKNOWN:
        raise attempts.undecided(attempt)
    reply = await attempts.stored_reply(bench, attempt)
    if reply is not None:
        return await _settle_or_doubt(bench, attempt, _parse(provider, reply, wanted.request))
    if attempt.ticket is not None:
        try:
            return await _collect(bench, provider, wanted, attempt)
        except OutcomeUnknown:
            if attempt.paid:
                raise
            return None
    if not attempt.paid:
        await attempts.release(bench, attempt, state=AttemptState.LOST)
        return None
    await attempts.doubt(bench, attempt, "The program stopped after the call was sent.")
    raise attempts.undecided(attempt)


async def _attempt(bench: Bench, provider: Provider, wanted: Call) -> Answer:
    estimate = money.to_nano(priced(provider, wanted.request))
    if estimate:
        await _check_room(bench)
    keys = await bench.shop.keys(bench.project_id)
    attempt = await attempts.reserve(bench, provider, wanted, estimate)
    run = RunSide(bench, attempt, keys)
    try:
        async with bench.shop.db.write() as session:
            await ledger.mark_sent(session, attempt.id, attempt.paid, bench.shop.clock.now())
            bench.record(session, "sent", attempt=attempt.id, call=wanted.name)
    except (SpendRefused, Conflict):
        await attempts.release(bench, attempt)
        raise
    try:
        return await _deliver(bench, attempt, provider.generate(wanted.request, run))
    except NotCollected:
        return await _collect(bench, provider, wanted, attempt)


async def _collect(bench: Bench, provider: Provider, wanted: Call, attempt: Attempt) -> Answer:
    """Ask for accepted work by its ticket, with patience; it is never sent a second time."""
    keys = await bench.shop.keys(bench.project_id)
    ticket, run = Ticket(attempt.ticket or "", attempt.endpoint), RunSide(bench, attempt, keys)
    tried = 0
    while True:
        tried += 1
        try:
            return await _deliver(bench, attempt, provider.resume(ticket, wanted.request, run))
        except NotCollected as error:
            if tried >= bench.shop.retries.tries:
                raise
            last = error
        await _be_patient(bench, wanted, tried, last)


async def _deliver(
    bench: Bench, attempt: Attempt, sending: Coroutine[Any, Any, Generated]
) -> Answer:
    """Await the answer; a paid one is waited for even when the job is being cancelled."""
    if attempt.paid:
        return await _settle_or_doubt(bench, attempt, sending)
    return await _settle_or_doubt(bench, attempt, bench.interruptible(sending))


async def _settle_or_doubt(
    bench: Bench, attempt: Attempt, sending: Coroutine[Any, Any, Generated]
) -> Answer:
    """Await the answer; whatever comes instead, say in the rows what may have been charged."""
    try:
        generated = await _with_pictures(attempt, sending)
    except Cancelled:
        await attempts.release(bench, attempt, state=AttemptState.LOST)
        raise
    except MaquetteError as error:
        raise await _without_answer(bench, attempt, error) from error
    except Exception as error:
        # Anything else, a bug included, may have happened after the money was taken.
        log.exception("provider %s failed in an unforeseen way", attempt.provider)
        if attempt.paid:
            await attempts.doubt(bench, attempt, f"{type(error).__name__}: {error}")
            raise attempts.undecided(attempt) from error
        await attempts.release(bench, attempt, error=error)
        raise
    return Answer(attempt, generated, _charged(attempt, generated.cost))


async def _with_pictures(attempt: Attempt, sending: Coroutine[Any, Any, Generated]) -> Generated:
    generated = await sending
    if not generated.images:
        raise BadProviderReply(f"{attempt.provider!r} answered without a picture.")
    return generated


async def _without_answer(bench: Bench, attempt: Attempt, error: MaquetteError) -> MaquetteError:
    """Decide by the kind of error whether the call was charged; return what to raise."""
    if isinstance(error, StorageUnavailable):  # the answer is there: a resume stores it
        return error
    if isinstance(error, OutcomeUnknown | BadProviderReply) and attempt.paid:
        await attempts.doubt(bench, attempt, str(error))
        return attempts.undecided(attempt)
    over = isinstance(error, ProviderRefused | OutcomeUnknown | BadProviderReply)
    if attempt.ticket is not None and not over:  # a key that is missing now refunds nothing
        return NotCollected(
            f"{attempt.provider!r} has accepted the work ({attempt.ticket}) but cannot be asked "
            f"for it: {error} `maquette resume` asks again."
        )
    # By contract the rest was not charged: refused, never sent, or wrong before sending.
    await attempts.release(bench, attempt, error=error)
    return error


def _charged(attempt: Attempt, cost: Usd | None) -> int:
    """Take the provider's word for what it cost, where that is an amount at all."""
    if cost is None or not cost.is_finite() or cost < 0:
        return attempt.reserved_nano
    return money.to_nano(cost)


async def _parse(provider: Provider, reply: bytes, request: ImageRequest) -> Generated:
    try:
        return await asyncio.to_thread(provider.read_reply, reply, request)
    except MaquetteError as error:  # it was answered, so it was sent
        raise BadProviderReply(f"The stored reply cannot be read: {error}") from error


async def _check_room(bench: Bench) -> None:
    """Refuse to pay for pictures that could not be stored."""
    free = await asyncio.to_thread(bench.place.folders.free_bytes)
    if free < _ROOM_BYTES:
        raise StorageFull(
            f"Only {free // 1024**2} MiB are free under {str(bench.place.folders.root)!r}, so "
            "nothing was sent or paid. Free some space, then `maquette resume`."
        )
