"""The same run on Postgres, engine included."""

from __future__ import annotations

import psycopg
import pytest

from maquette.core.pipeline import PostChain, UpscaleStep
from maquette.core.states import JobState
from maquette.services import running, starting
from maquette.testing.scripted import Act, Books
from tests.conftest import Opener
from tests.jobs.conftest import Begin, see


@pytest.fixture
def fresh_database(postgres_url: str, request: pytest.FixtureRequest) -> str:
    """Create an empty database on the server, named after the test."""
    name = "".join(letter for letter in request.node.name if letter.isalnum())[:40].lower()
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"'.encode())
    head, _, tail = postgres_url.partition("/postgres?")
    return f"{head}/{name}?{tail}"


async def test_a_run_on_postgres(
    open_studio: Opener, begin: Begin, books: Books, fresh_database: str
) -> None:
    """D1, D7: by changing one setting."""
    post = PostChain(upscale=UpscaleStep())
    async with open_studio(Act("busy"), url=fresh_database) as studio:
        seen = await see(studio, await begin(studio, candidates=3, post=post))
        assert seen.state is JobState.SUCCEEDED
        assert seen.settled == int(books.charged * 10**9) == 6 * 40_000_000
        assert seen.held == 0


async def test_a_lost_answer_on_postgres(
    open_studio: Opener, begin: Begin, books: Books, fresh_database: str
) -> None:
    async with open_studio(Act("lose"), Act("lose"), url=fresh_database) as studio:
        seen = await see(studio, await begin(studio))
        assert seen.state is JobState.OUTCOME_UNKNOWN
        assert (books.paid_calls, seen.held) == (2, 80_000_000)
        with pytest.raises(Exception, match="spend decide"):
            await running.resume(studio, seen.run, starting.Spending())
