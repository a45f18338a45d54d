"""Many retries at once of a request that died: one of them goes on, on both databases."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from datetime import timedelta

import pytest

from maquette.core.errors import Conflict, StillWorking
from maquette.db import idempotency
from maquette.db.idempotency import Claim
from maquette.db.tables import IdempotencyKey
from maquette.services import once
from maquette.services.once import Asked, Before
from maquette.services.studio import Studio
from tests.conftest import Opener

CLAIM = Claim("user:ann", "k")
ASKED = Asked("POST /x", "hash")
DAY = timedelta(days=1)


@pytest.fixture(params=["sqlite", "postgres"])
async def studio(request: pytest.FixtureRequest, open_studio: Opener) -> AsyncGenerator[Studio]:
    url = request.getfixturevalue("fresh_postgres") if request.param == "postgres" else None
    async with open_studio(url=url) as opened:
        yield opened


async def test_of_many_retries_of_a_dead_request_one_goes_on(studio: Studio) -> None:
    assert await once.begin(studio, CLAIM, ASKED, DAY, 60) == Before()
    async with studio.shop.db.write() as session:
        row = await session.get_one(IdempotencyKey, (CLAIM.caller, CLAIM.key))
        row.created_at -= timedelta(hours=1)
    tries = await asyncio.gather(
        *(once.begin(studio, CLAIM, ASKED, DAY, 60) for _ in range(4)), return_exceptions=True
    )
    assert tries.count(Before()) == 1
    assert sum(isinstance(one, StillWorking) for one in tries) == 3


async def test_of_many_commits_under_one_key_one_is_made(studio: Studio) -> None:
    await once.begin(studio, CLAIM, ASKED, DAY, 60)

    async def commit(number: int) -> None:
        async with studio.shop.db.write() as session:
            await idempotency.claim(session, CLAIM, f"run:{number}")

    done = await asyncio.gather(*(commit(one) for one in range(4)), return_exceptions=True)
    assert done.count(None) == 1
    assert sum(isinstance(one, Conflict) for one in done) == 3
