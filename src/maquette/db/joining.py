"""Which run stands for a request that a client may send again by itself, without a key.

A note is a row among the idempotency keys, under a key that no client can send: one is ASCII.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from maquette.db import idempotency
from maquette.db.tables import IdempotencyKey
from maquette.db.upsert import insert_missing

_MARK = "§"
_FIRST, _AGAIN = "first", "again"
_SKEW = timedelta(seconds=1)
"""How far the clocks of two machines may differ that look at one client's tries."""


@dataclass(frozen=True)
class Sending:
    """One time that a client sends a request."""

    caller: str
    digest: str
    """Of all that it asks for."""
    again: bool
    """The client says that it sent the same before."""
    at: datetime
    """When it came in, before it was read."""
    until: datetime
    """How long whoever sends it again is shown to the run that stands."""


async def standing(session: AsyncSession, sending: Sending) -> str | None:
    """Return the run that stands for the request."""
    found = await session.get(IdempotencyKey, _key(sending))
    return found.resource if found is not None and found.expires_at > sending.at else None


async def note(session: AsyncSession, sending: Sending, run: str) -> str:
    """Write down which run stands for the request, in the commit that makes it; return that run.

    Another stands where this is sent again, or was overtaken by one that was; the run must not be
    made then. The row's lock lets one of two that come at the same time wait for the other.
    """
    await idempotency.expire(session, sending.at)
    caller, key = _key(sending)
    row = {
        "caller": caller,
        "key": key,
        "route": _AGAIN if sending.again else _FIRST,
        "body_hash": sending.digest,
        "state": "working",
        "resource": run,
        "created_at": sending.at,
        "expires_at": sending.until,
    }
    await insert_missing(session, IdempotencyKey, [row])
    query = select(IdempotencyKey).where(IdempotencyKey.caller == caller, IdempotencyKey.key == key)
    found = (await session.execute(query.with_for_update())).scalar_one()
    if found.resource is None or found.resource == run:
        return run
    overtaken = found.route == _AGAIN and found.created_at >= sending.at - _SKEW
    if sending.again or overtaken:
        return found.resource
    found.route, found.resource = _FIRST, run
    found.created_at, found.expires_at = sending.at, sending.until
    return run


def _key(sending: Sending) -> tuple[str, str]:
    return sending.caller, _MARK + sending.digest
