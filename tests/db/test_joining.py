"""D12: whose run a try gets that a client sends again by itself, on both databases."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import datetime, timedelta

import pytest

from maquette.db import idempotency, joining
from maquette.db.engine import Database
from maquette.db.joining import Sending
from maquette.db.tables import Run
from tests.db import rows
from tests.db.rows import NOW

KEPT = timedelta(minutes=15)


class _StoodError(Exception):
    """Another run stands, so the commit is undone."""


def sending(retry: int, minutes: float = 0) -> Sending:
    at = NOW + timedelta(minutes=minutes)
    return Sending("somebody", "d" * 64, retry, at, at + KEPT)


async def noted(db: Database, sent: Sending, name: str) -> str:
    """Make a run in one commit with its note, unless another stands; return what stands."""
    stands: list[str] = []
    with suppress(_StoodError):
        async with db.write() as session:
            session.add(rows.run(name))
            await session.flush()
            stands.append(await joining.note(session, sent, f"run:{name}"))
            _check(stands == [f"run:{name}"])
    return stands[0].removeprefix("run:")


def _check(mine: bool) -> None:  # noqa: FBT001 - reads as a sentence
    if not mine:
        raise _StoodError


async def joined(db: Database, sent: Sending) -> str | None:
    async with db.write() as session:
        found = await joining.join(session, sent)
    return found and found.removeprefix("run:")


async def ends(db: Database, name: str, at: datetime) -> None:
    async with db.write() as session:
        run = await session.get_one(Run, name)
        run.finished_at = at


async def swept(db: Database, minutes: float) -> None:
    async with db.write() as session:
        await idempotency.expire(session, NOW + timedelta(minutes=minutes))


@pytest.fixture(autouse=True)
async def _project(db: Database) -> None:
    async with db.write() as session:
        session.add(rows.project())


async def test_a_note_stands_as_long_as_its_run(db: Database) -> None:
    """The client waits ten minutes for each of its three tries."""
    assert await noted(db, sending(0), "a") == "a"
    assert await joined(db, sending(1, 10)) == "a"
    for minutes in (20, 60):
        await swept(db, minutes)
        assert await joined(db, sending(minutes, minutes)) == "a"


async def test_a_note_stands_for_a_while_after_the_end_and_the_last_try(db: Database) -> None:
    for name in "ab":
        await noted(db, sending(0), name)
        await ends(db, name, NOW + timedelta(minutes=30 if name == "a" else 40))
    await swept(db, 50)
    assert await joined(db, sending(1, 50)) == "b"
    assert await joined(db, sending(1, 50)) is None, "a ended twenty minutes ago"
    await swept(db, 64)
    assert await joined(db, sending(2, 64)) == "b", "somebody came for it fourteen minutes ago"
    await swept(db, 80)
    assert await joined(db, sending(3, 80)) is None


async def test_each_of_several_firsts_has_a_run_of_its_own(db: Database) -> None:
    for name in "abc":
        assert await noted(db, sending(0), name) == name
    for retry in (1, 2):
        tries = [joined(db, sending(retry, retry)) for _ in range(4)]
        found = await asyncio.gather(*tries)
        assert sorted(found, key=str) == [None, "a", "b", "c"]


async def test_the_oldest_under_way_comes_first_then_what_ended_last(db: Database) -> None:
    for minutes, name in enumerate("abcd"):
        await noted(db, sending(0, minutes), name)
    await ends(db, "a", NOW + timedelta(minutes=6))
    await ends(db, "d", NOW + timedelta(minutes=5))
    assert [await joined(db, sending(1, 7)) for _ in "abcd"] == ["b", "c", "a", "d"]


async def test_a_run_that_overtook_its_first_try_stands_for_that_one_alone(db: Database) -> None:
    """Another first that came in the same second is somebody else's, who wants another picture."""
    assert await noted(db, sending(1, 0.01), "a") == "a"
    assert await noted(db, sending(0), "b") == "a"
    assert await joined(db, sending(0)) == "a"
    assert await noted(db, sending(0), "c") == "c"
    assert await joined(db, sending(1)) == "c"
    assert await joined(db, sending(1)) is None


async def test_a_first_that_comes_later_was_not_overtaken(db: Database) -> None:
    await noted(db, sending(1), "a")
    assert await noted(db, sending(0, 1), "b") == "b"


async def test_of_tries_that_are_noted_at_once_one_makes_a_run(db: Database) -> None:
    """As two servers would note them: whoever is second waits for the first and finds its run."""
    names = [f"r{retry}" for retry in range(6)]
    tries = [noted(db, sending(retry), name) for retry, name in enumerate(names)]
    found = set(await asyncio.gather(*tries))
    assert len(found) == 1 and found <= set(names)
