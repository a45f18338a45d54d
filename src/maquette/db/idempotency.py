"""Requests that must not be done twice: who asked, with which key, and how it was answered."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, and_, delete, func, not_, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from maquette.core.errors import Conflict
from maquette.db.tables import IdempotencyKey, Run
from maquette.db.upsert import insert_missing

_AFTER_ITS_RUN = timedelta(minutes=15)
"""How long a key is known at least after the end of the run that it has begun."""


@dataclass(frozen=True)
class Claim:
    """A key of one caller."""

    caller: str
    key: str


async def take(
    session: AsyncSession, claim: Claim, route: str, body_hash: str, at: datetime, until: datetime
) -> IdempotencyKey | None:
    """Take the key for a new request; return the row where it was taken before."""
    await expire(session, at)
    found = await session.get(IdempotencyKey, (claim.caller, claim.key))
    if found is not None:
        return found
    row = {
        "caller": claim.caller,
        "key": claim.key,
        "route": route,
        "body_hash": body_hash,
        "state": "working",
        "created_at": at,
        "expires_at": until,
    }
    await insert_missing(session, IdempotencyKey, [row])
    mine = await session.get(IdempotencyKey, (claim.caller, claim.key))
    assert mine is not None
    return None if mine.created_at == at and mine.body_hash == body_hash else mine


async def take_over(session: AsyncSession, found: IdempotencyKey, at: datetime) -> bool:
    """Take the key of a request that died before it made anything; one of many who try does."""
    taken = await session.execute(
        update(IdempotencyKey)
        .where(
            IdempotencyKey.caller == found.caller,
            IdempotencyKey.key == found.key,
            IdempotencyKey.created_at == found.created_at,
            IdempotencyKey.state == "working",
            IdempotencyKey.resource.is_(None),
        )
        .values(created_at=at)
        .returning(IdempotencyKey.key)
        .execution_options(synchronize_session=False)
    )
    return taken.first() is not None


async def claim(session: AsyncSession, claim: Claim, resource: str) -> None:
    """Note what the request has made, in the commit that makes it; one request alone can."""
    noted = await session.execute(
        update(IdempotencyKey)
        .where(
            IdempotencyKey.caller == claim.caller,
            IdempotencyKey.key == claim.key,
            IdempotencyKey.resource.is_(None),
        )
        .values(resource=resource)
        .returning(IdempotencyKey.key)
        .execution_options(synchronize_session=False)
    )
    if noted.first() is None:
        raise Conflict("This idempotency key was used by another request meanwhile; nothing ran.")


async def answer(session: AsyncSession, claim: Claim, status: int, reply: str) -> None:
    """Keep the answer for whoever asks again."""
    await session.execute(
        update(IdempotencyKey)
        .where(IdempotencyKey.caller == claim.caller, IdempotencyKey.key == claim.key)
        .values(state="done", status=status, reply=reply)
    )


async def expire(session: AsyncSession, at: datetime) -> None:
    """Forget the keys whose time is over."""
    await session.execute(
        delete(IdempotencyKey)
        .where(IdempotencyKey.expires_at < at, not_(stands(at)))
        .execution_options(synchronize_session=False)
    )


def stands(at: datetime) -> ColumnElement[bool]:
    """Say of a key that its time is not over, or its run is under way or has ended just now."""
    run = (
        select(Run.id)
        .where(
            Run.id == func.substr(IdempotencyKey.resource, 5),
            or_(Run.finished_at.is_(None), Run.finished_at >= at - _AFTER_ITS_RUN),
        )
        .correlate(IdempotencyKey)
    )
    begun = and_(IdempotencyKey.resource.startswith("run:"), run.exists())
    return or_(IdempotencyKey.expires_at >= at, begun)


async def forget(session: AsyncSession, claim: Claim) -> None:
    """Free the key of a request that was refused before it did anything."""
    await session.execute(
        delete(IdempotencyKey).where(
            IdempotencyKey.caller == claim.caller,
            IdempotencyKey.key == claim.key,
            IdempotencyKey.resource.is_(None),
        )
    )


async def write_down(session: AsyncSession, claim: Claim, request: str) -> None:
    """Keep what is asked beside its key, until somebody confirms it or its time is over."""
    await session.execute(
        update(IdempotencyKey)
        .where(IdempotencyKey.caller == claim.caller, IdempotencyKey.key == claim.key)
        .values(reply=request)
    )


async def find(session: AsyncSession, claim: Claim) -> IdempotencyKey | None:
    return await session.get(IdempotencyKey, (claim.caller, claim.key), populate_existing=True)


async def keep(session: AsyncSession, claim: Claim, until: datetime) -> None:
    """Let a key be known for longer: whoever shows it again is told what it made."""
    await session.execute(
        update(IdempotencyKey)
        .where(IdempotencyKey.caller == claim.caller, IdempotencyKey.key == claim.key)
        .values(expires_at=until)
    )
