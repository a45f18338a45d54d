"""Words that money may be spent: what is kept of them, and how they end."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import pytest
from sqlalchemy import select

from maquette.core.errors import Conflict, NotConfirmed
from maquette.core.money import Usd
from maquette.db import idempotency
from maquette.db.tables import IdempotencyKey
from maquette.services import confirming, people
from maquette.services.confirming import Waiting
from maquette.services.starting import Spending
from tests.conftest import Opener

PRICE = Usd(Decimal("0.04"))
REQUEST = {"tool": "generate", "arguments": {"prompt": "a boat"}}


async def test_the_key_itself_is_not_kept(open_studio: Opener) -> None:
    """Who reads the database cannot say anybody's word."""
    async with open_studio() as studio:
        caller = await people.local(studio)
        proposal = await confirming.propose(studio, caller, REQUEST, PRICE)
        async with studio.shop.db.read() as session:
            [row] = (await session.execute(select(IdempotencyKey))).scalars()
        found = await confirming.waiting(studio, caller, proposal.key)
    assert proposal.key not in str(vars(row))
    assert (found.request, found.price, found.run_id) == (REQUEST, PRICE, None)


async def test_one_of_many_who_say_it_at_once_begins_it(open_studio: Opener) -> None:
    async with open_studio() as studio:
        caller = await people.local(studio)
        proposal = await confirming.propose(studio, caller, REQUEST, PRICE)
        begun: list[str] = []

        async def start(waiting: Waiting, spending: Spending) -> str:
            assert (spending.confirmed, spending.max_spend) == (True, PRICE)
            name = f"r{len(begun)}"
            begun.append(name)
            async with studio.shop.db.write() as session:
                await idempotency.claim(session, waiting.claim, f"run:{name}")
            return name

        said = [confirming.begin(studio, caller, proposal.key, start) for _ in range(4)]
        runs = await asyncio.gather(*said)
        again = await confirming.begin(studio, caller, proposal.key, start)
    assert len(set(runs)) == 1
    assert again == runs[0]


async def test_what_could_not_begin_can_be_said_again(open_studio: Opener) -> None:
    async with open_studio() as studio:
        caller = await people.local(studio)
        proposal = await confirming.propose(studio, caller, REQUEST, PRICE)

        async def busy(_waiting: Waiting, _spending: Spending) -> str:
            raise Conflict("Something else is in the way.")

        with pytest.raises(Conflict, match="in the way"):
            await confirming.begin(studio, caller, proposal.key, busy)
        assert (await confirming.waiting(studio, caller, proposal.key)).run_id is None
        await confirming.forget(studio, caller, proposal.key)
        with pytest.raises(NotConfirmed, match="not known"):
            await confirming.waiting(studio, caller, proposal.key)
