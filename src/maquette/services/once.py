"""Idempotency: the same key and request get the same answer, another request is refused."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from maquette.core.errors import IdempotencyMismatch, StillWorking
from maquette.db import idempotency
from maquette.db.idempotency import Claim
from maquette.services.studio import Studio


@dataclass(frozen=True)
class Asked:
    """What a request asks for."""

    route: str
    body_hash: str


@dataclass(frozen=True)
class Before:
    """What came of the same request before."""

    status: int | None = None
    reply: str = ""
    resource: str | None = None
    """What it made, where the process died before it could answer."""


async def begin(
    studio: Studio, claim: Claim, asked: Asked, kept: timedelta, longest_s: float
) -> Before:
    """Take the key, or say what came of the request that took it first."""
    now = studio.shop.clock.now()
    async with studio.shop.db.write() as session:
        found = await idempotency.take(
            session, claim, asked.route, asked.body_hash, now, now + kept
        )
        if found is None:
            return Before()
        if (found.route, found.body_hash) != (asked.route, asked.body_hash):
            raise IdempotencyMismatch(
                "This idempotency key came with another request before. Use a new key for every "
                "new request."
            )
        if found.state == "done":
            return Before(found.status, found.reply or "")
        if found.resource is not None:
            return Before(resource=found.resource)
        died = now - found.created_at >= timedelta(seconds=longest_s)
        if not (died and await idempotency.take_over(session, found, now)):
            raise StillWorking(
                "The first request with this idempotency key is not answered yet; ask again soon."
            )
    return Before()


async def answered(studio: Studio, claim: Claim, status: int, reply: str) -> None:
    async with studio.shop.db.write() as session:
        await idempotency.answer(session, claim, status, reply)


async def refused(studio: Studio, claim: Claim) -> None:
    async with studio.shop.db.write() as session:
        await idempotency.forget(session, claim)
