"""Asking a person before money is spent: a plan waits under a key, and a word begins it, once.

The key is random, known to nobody but its caller and worth one request for a few minutes. Only its
SHA-256 is kept, with the request itself, so nothing about the request can be changed between the
plan and the word. The run is noted under it in the commit that makes the run: whoever says the
word again is told of that run and pays nothing.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NoReturn

from sqlalchemy.ext.asyncio import AsyncSession

from maquette.core import money
from maquette.core.errors import Conflict, NotConfirmed
from maquette.core.money import Usd
from maquette.core.people import Caller
from maquette.core.requests import canonical
from maquette.db import idempotency
from maquette.db.idempotency import Claim
from maquette.services.starting import Spending
from maquette.services.studio import Studio

KEPT = timedelta(minutes=10)
"""How long a plan waits for its word."""
_REMEMBERED = timedelta(hours=24)
"""How long a word that was said is known again."""
_ROUTE = "confirm"
"""No request over HTTP has such a route, so no other idempotency key is taken for one of these."""
_BYTES = 32
_RUN = "run:"


@dataclass(frozen=True)
class Proposal:
    """A plan that waits for a person's word."""

    key: str
    price: Usd
    expires_at: datetime


@dataclass(frozen=True)
class Waiting:
    """What a key stands for: the request as it was planned, or the run that it became."""

    claim: Claim
    request: Mapping[str, Any]
    price: Usd
    run_id: str | None


async def propose(
    studio: Studio, caller: Caller, request: Mapping[str, Any], price: Usd
) -> Proposal:
    """Keep a request, and give out the key that begins it."""
    key = secrets.token_urlsafe(_BYTES)
    claim = _claim(caller, key)
    now = studio.shop.clock.now()
    body = canonical({"request": request, "price_nano": money.to_nano(price)})
    digest = hashlib.sha256(body.encode()).hexdigest()
    async with studio.shop.db.write() as session:
        await idempotency.take(session, claim, _ROUTE, digest, now, now + KEPT)
        await idempotency.write_down(session, claim, body)
    return Proposal(key, price, now + KEPT)


async def waiting(studio: Studio, caller: Caller, key: str) -> Waiting:
    """Look up a key; raise `NotConfirmed` for one that is not this caller's, or not any more."""
    claim = _claim(caller, key)
    async with studio.shop.db.read() as session:
        row = await idempotency.find(session, claim)
    if row is None or row.route != _ROUTE or row.reply is None:
        _unknown()
    if row.resource is None and row.expires_at < studio.shop.clock.now():
        _unknown()
    body = json.loads(row.reply)
    run_id = None if row.resource is None else row.resource.removeprefix(_RUN)
    return Waiting(claim, body["request"], money.from_nano(body["price_nano"]), run_id)


async def begin(
    studio: Studio,
    caller: Caller,
    key: str,
    start: Callable[[Waiting, Spending], Awaitable[str]],
) -> str:
    """Begin what waits under the key, or return the id of the run that it has become.

    `start` makes the run with this permission, which is for no more than the price that was told.
    """
    found = await waiting(studio, caller, key)
    if found.run_id is not None:
        return found.run_id

    async def keep(session: AsyncSession, _run_id: str) -> None:
        until = studio.shop.clock.now() + _REMEMBERED
        await idempotency.keep(session, found.claim, until)

    spending = Spending(
        confirmed=True, max_spend=found.price, by=caller.user_id, claim=found.claim, note=keep
    )
    try:
        return await start(found, spending)
    except Conflict:  # the same word, said twice at once: one of them has made the run
        again = await waiting(studio, caller, key)
        if again.run_id is None:
            raise
        return again.run_id


async def forget(studio: Studio, caller: Caller, key: str) -> None:
    """Let a plan be that a person said no to; a run that was begun stays."""
    async with studio.shop.db.write() as session:
        await idempotency.forget(session, _claim(caller, key))


def check_price(told: Usd, now: Usd) -> None:
    """Refuse what has become dearer since a person was told its price."""
    if now > told:
        raise NotConfirmed(
            f"The price is {money.show(now)} now, more than the {money.show(told)} that was "
            "planned, so nothing was sent. Plan it again and confirm the new price."
        )


def _claim(caller: Caller, key: str) -> Claim:
    return Claim(caller.key, f"confirm-{hashlib.sha256(key.encode()).hexdigest()}")


def _unknown() -> NoReturn:
    minutes = int(KEPT.total_seconds() // 60)
    raise NotConfirmed(
        f"This confirmation is not known: it is more than {minutes} minutes old, was given to "
        "somebody else, or is mistyped. Nothing was sent. Plan the request again for a new one."
    )
