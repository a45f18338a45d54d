"""Events are numbered in the order of their commits: who reads on from an id misses nothing."""

from __future__ import annotations

import asyncio
import random

import pytest
from sqlalchemy.exc import IntegrityError

from maquette.db import events
from maquette.db.engine import Database
from tests.db.rows import NOW, run

WRITERS, EACH = 8, 12


async def test_a_reader_that_goes_on_from_its_last_id_misses_no_commit(db: Database) -> None:
    """Transactions take their time between the event and the commit, and overlap."""
    dice = random.Random(7)  # noqa: S311 - waits, not secrets
    seen: list[int] = []
    done = asyncio.Event()

    async def write(writer: int) -> None:
        for number in range(EACH):
            async with db.write() as session:
                events.record(session, "x", project_id="p", at=NOW, writer=writer, number=number)
                if not db.is_sqlite:
                    await asyncio.sleep(dice.random() / 50)

    async def read() -> None:
        last = 0
        while True:
            over = done.is_set()
            async with db.read() as session:
                news = await events.after_id(session, last, 500)
            seen.extend(event.id for event in news)
            last = seen[-1] if seen else 0
            if over and not news:
                return
            await asyncio.sleep(0)

    reading = asyncio.create_task(read())
    await asyncio.gather(*(write(writer) for writer in range(WRITERS)))
    done.set()
    await reading
    assert len(seen) == WRITERS * EACH
    assert seen == sorted(set(seen))


async def test_an_event_of_a_transaction_that_fails_is_not_told(db: Database) -> None:
    heard: list[str] = []
    db.news.append(heard.extend)

    async def fail() -> None:
        async with db.write() as session:
            events.record(session, "x", project_id="p", at=NOW)
            session.add(run("r", project_id="nowhere"))

    with pytest.raises(IntegrityError):
        await fail()
    async with db.read() as session:
        assert await events.last_id(session) == 0
    assert heard == []
