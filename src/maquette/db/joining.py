"""Which runs stand for a request that a client may send again by itself, without a key.

A note is a row among the idempotency keys, one a run, under a key that no client can send: one is
ASCII. The same request may have begun several runs, for several clients that each want pictures of
their own; of every generation of tries (the first, the second …) each run stands for one.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from maquette.db import idempotency
from maquette.db.tables import IdempotencyKey, Run
from maquette.db.upsert import insert_missing

_MARK = "§"
_ROUTE = "tries"
_SKEW = timedelta(seconds=1)
"""How far the clocks of two machines may differ that look at one client's tries."""


@dataclass(frozen=True)
class Sending:
    """One time that a client sends a request."""

    caller: str
    digest: str
    """Of all that it asks for."""
    retry: int
    """How many times the client says that it sent the same before."""
    at: datetime
    """When it came in, before it was read."""
    until: datetime
    """How long whoever sends it again is shown to the run that stands."""


async def standing(session: AsyncSession, sending: Sending) -> str | None:
    """Return the run that stands for a try; None where one is to be begun for it.

    A first try has none but one that its own second has begun, having overtaken it.
    """
    found = await _free(session, sending)
    return None if found is None else found.resource


async def join(session: AsyncSession, sending: Sending) -> str | None:
    """Do as `standing`, and take the run: no other try of this generation finds it."""
    found = await _free(session, sending)
    if found is None:
        return None
    found.reply = f"{found.reply} {sending.retry}"
    found.expires_at = max(found.expires_at, sending.until)
    return found.resource


async def note(session: AsyncSession, sending: Sending, run: str) -> str:
    """Write down that a run stands for a request, in the commit that makes it; return that run.

    Where another stands already, that one is returned and the run must not be made. Whoever notes
    the same at the same time waits for this commit.
    """
    await _alone(session, sending)
    stands = await standing(session, sending)
    if stands is not None:
        return stands
    session.add(_row(sending, f":{run}", run))
    return run


async def _alone(session: AsyncSession, sending: Sending) -> None:
    """Lock the request's own row, which may be swept away before it is locked."""
    row = _row(sending, "", None)
    values = {one.name: getattr(row, one.key) for one in IdempotencyKey.__table__.columns}
    query = select(IdempotencyKey.key).where(
        IdempotencyKey.caller == row.caller, IdempotencyKey.key == row.key
    )
    for _ in range(2):
        await insert_missing(session, IdempotencyKey, [values])
        if (await session.execute(query.with_for_update())).first() is not None:
            return


async def _free(session: AsyncSession, sending: Sending) -> IdempotencyKey | None:
    """Return and lock the note of the run that this try would be waiting for.

    Runs under way come first, the oldest before the others, as their clients lose patience in that
    order. Of those that have ended the last is the likeliest not to have been handed out.
    """
    query = (
        select(IdempotencyKey, Run.finished_at)
        .join(Run, Run.id == func.substr(IdempotencyKey.resource, 5))
        .where(
            IdempotencyKey.caller == sending.caller,
            IdempotencyKey.key.startswith(_key(sending) + ":"),
            idempotency.stands(sending.at),
        )
        .order_by(IdempotencyKey.created_at, IdempotencyKey.key)
        .with_for_update(of=IdempotencyKey)
        .execution_options(populate_existing=True)
    )
    if sending.retry == 0:
        query = query.where(IdempotencyKey.created_at >= sending.at - _SKEW)
    found = (await session.execute(query)).all()
    ended: list[tuple[datetime, IdempotencyKey]] = []
    for note, finished in found:
        if str(sending.retry) in (note.reply or "").split():
            continue
        if finished is None:
            return note
        ended.append((finished, note))
    return max(ended, key=lambda one: one[0])[1] if ended else None


def _row(sending: Sending, suffix: str, run: str | None) -> IdempotencyKey:
    """Make a row; a note's `reply` names the generations that the run stands for."""
    return IdempotencyKey(
        caller=sending.caller,
        key=_key(sending) + suffix,
        route=_ROUTE,
        body_hash=sending.digest,
        state="working",
        resource=run,
        reply=None if run is None else str(sending.retry),
        created_at=sending.at,
        expires_at=sending.until,
    )


def _key(sending: Sending) -> str:
    return _MARK + sending.digest
