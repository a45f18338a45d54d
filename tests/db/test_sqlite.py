"""SQLite's connections: writers stand in line, and statements take their rows along."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from maquette.db.engine import Database, sqlite_url

_MANY = text(
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2500) SELECT i FROM n"
)


@pytest.fixture
async def db(sqlite_template: Path, tmp_path: Path) -> AsyncGenerator[Database]:
    shutil.copy(sqlite_template, tmp_path / "app.db")
    database = Database(sqlite_url(tmp_path / "app.db"))
    yield database
    await database.close()


async def _note(session: AsyncSession, name: str) -> None:
    known = await session.execute(text("SELECT COUNT(*) FROM caps"))
    values = {"key": name, "nano": known.scalar_one()}
    await session.execute(text("INSERT INTO caps (key, limit_nano) VALUES (:key, :nano)"), values)


async def _writes(db: Database, name: str) -> None:
    async with db.write() as session:
        await _note(session, name)


async def test_more_rows_than_come_at_once_come_all(db: Database) -> None:
    async with db.read() as session:
        assert list((await session.execute(_MANY)).scalars()) == list(range(1, 2501))
        found = await session.stream(_MANY.execution_options(yield_per=300))
        assert [row.i async for row in found] == list(range(1, 2501))
        left = await session.stream(_MANY)
        assert (await left.fetchone()) == (1,)
        await left.close()
        assert (await session.execute(text("SELECT 2"))).scalar_one() == 2


async def test_a_crowd_of_writers_comes_in_its_order(db: Database) -> None:
    async def reads(open_at_once: asyncio.Barrier) -> None:
        async with db.read() as session:
            await session.execute(text("SELECT 1"))
            await open_at_once.wait()

    everybody = asyncio.Barrier(10)  # who has to open a connection first comes later
    await asyncio.gather(*(reads(everybody) for _ in range(10)))
    await asyncio.gather(*(_writes(db, f"{n:02}") for n in range(10)))
    async with db.read() as session:
        rows = await session.execute(text("SELECT key FROM caps ORDER BY limit_nano"))
    assert list(rows.scalars()) == [f"{n:02}" for n in range(10)]


@pytest.mark.parametrize("writing", [True, False])
async def test_a_writer_that_is_cancelled_holds_nobody_up(db: Database, *, writing: bool) -> None:
    """In its transaction, or while it waits for another."""
    inside = asyncio.Event()

    async def stays() -> None:
        async with db.write() as session:
            await _note(session, "first")
            inside.set()
            await asyncio.Event().wait()

    first = asyncio.create_task(stays())
    await inside.wait()
    second = asyncio.create_task(_writes(db, "second"))
    await asyncio.sleep(0.05)
    for one in (first,) if writing else (second, first):
        one.cancel()
        await asyncio.wait([one])
    async with asyncio.timeout(10):
        await _writes(db, "third")
    await asyncio.wait([second])
    async with db.read() as session:
        rows = await session.execute(text("SELECT key FROM caps"))
    assert set(rows.scalars()) == ({"second", "third"} if writing else {"third"})


async def test_a_statement_that_fails_leaves_the_line(db: Database) -> None:
    async def fails() -> None:
        async with db.write() as session:
            await _note(session, "gone")
            raise ValueError("out")

    with pytest.raises(ValueError, match="out"):
        await fails()
    async with asyncio.timeout(10):
        await _writes(db, "kept")
    async with db.read() as session:
        assert list((await session.execute(text("SELECT key FROM caps"))).scalars()) == ["kept"]


async def test_a_reader_sees_one_moment(db: Database) -> None:
    """Its transaction begins with its first statement, and sees nothing that comes later."""
    count = text("SELECT COUNT(*) FROM caps")
    async with db.read() as session:
        assert (await session.execute(count)).scalar_one() == 0
        await _writes(db, "later")
        assert (await session.execute(count)).scalar_one() == 0
    async with db.read() as session:
        assert (await session.execute(count)).scalar_one() == 1
