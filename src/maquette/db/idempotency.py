"""Requests that must not be done twice: who asked, with which key, and how it was answered."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, update
from sqlalchemy.ext.asyncio import AsyncSession

from maquette.core.errors import Conflict
from maquette.db.tables import IdempotencyKey
from maquette.db.upsert import insert_missing


@dataclass(frozen=True)
class Claim:
    """A key of one caller."""

    caller: str
    key: str


async def take(
    session: AsyncSession, claim: Claim, route: str, body_hash: str, at: datetime, until: datetime
) -> IdempotencyKey | None:
    """Take the key for a new request; return the row where it was taken before."""
    await session.execute(delete(IdempotencyKey).where(IdempotencyKey.expires_at < at))
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


async def claim(session: AsyncSession, claim: Claim, resource: str) -> None:
    """Note what the request has made, in the commit that makes it."""
    found = await session.get(IdempotencyKey, (claim.caller, claim.key))
    if found is None or found.resource is not None:
        raise Conflict("This idempotency key was used by another request meanwhile; nothing ran.")
    found.resource = resource


async def answer(session: AsyncSession, claim: Claim, status: int, reply: str) -> None:
    """Keep the answer for whoever asks again."""
    await session.execute(
        update(IdempotencyKey)
        .where(IdempotencyKey.caller == claim.caller, IdempotencyKey.key == claim.key)
        .values(state="done", status=status, reply=reply)
    )


async def forget(session: AsyncSession, claim: Claim) -> None:
    """Free the key of a request that was refused before it did anything."""
    await session.execute(
        delete(IdempotencyKey).where(
            IdempotencyKey.caller == claim.caller,
            IdempotencyKey.key == claim.key,
            IdempotencyKey.resource.is_(None),
        )
    )
