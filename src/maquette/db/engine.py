"""The database: SQLite on a laptop, Postgres for many machines, behind two verbs."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, event, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

from maquette.core.errors import StorageFull, StorageReadOnly, StorageUnavailable
from maquette.db import events

_WRITES = "maquette_writes"
_DESK = 0x6D61_7175_6574_7465
"""The advisory lock's number: "maquette" in ASCII."""
_PRAGMAS = ("busy_timeout=30000", "foreign_keys=ON", "journal_mode=WAL", "synchronous=FULL")


def sqlite_url(path: Path) -> str:
    return f"sqlite:///{path}"


def is_sqlite(url: str) -> bool:
    return make_url(url).get_backend_name() == "sqlite"


def prepare_sqlite(connection: Any, _record: object) -> None:
    """Make SQLite durable and strict, and leave BEGIN to us."""
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in _PRAGMAS:
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    # A write that begins DEFERRED can fail half-way with SQLITE_BUSY; IMMEDIATE waits at the door.
    writes = connection.get_execution_options().get(_WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


class Database:
    """Opens transactions: `read()` sees one snapshot, `write()` commits or changes nothing."""

    def __init__(self, url: str) -> None:
        self.url = url
        parsed = make_url(url)
        self.is_sqlite = is_sqlite(url)
        self.news: list[Callable[[], None]] = []
        """Called after each commit of this process that recorded events."""
        if self.is_sqlite:
            self._engine = create_async_engine(parsed.set(drivername="sqlite+aiosqlite"))
            event.listen(self._engine.sync_engine, "connect", prepare_sqlite)
            event.listen(self._engine.sync_engine, "begin", _begin_sqlite)
        else:
            self._engine = create_async_engine(parsed.set(drivername="postgresql+psycopg"))
        self._writer = self._engine.execution_options(**{_WRITES: True})

    @asynccontextmanager
    async def read(self) -> AsyncGenerator[AsyncSession]:
        try:
            async with AsyncSession(
                self._engine, expire_on_commit=False, autoflush=False
            ) as session:
                yield session
        except OperationalError as error:
            raise _explain(error) from error

    @asynccontextmanager
    async def desk(self) -> AsyncGenerator[bool]:
        """Hold the desk of a Postgres database; False while another machine does.

        SQLite's desk is the home's file lock alone: it never leaves its machine.
        """
        if self.is_sqlite:
            yield True
            return
        async with self._engine.connect() as connection:
            await connection.execution_options(isolation_level="AUTOCOMMIT")
            asked = text("SELECT pg_try_advisory_lock(:key)")
            mine = bool((await connection.execute(asked, {"key": _DESK})).scalar_one())
            try:
                yield mine
            finally:
                if mine:
                    freed = text("SELECT pg_advisory_unlock(:key)")
                    await connection.execute(freed, {"key": _DESK})

    @asynccontextmanager
    async def write(self) -> AsyncGenerator[AsyncSession]:
        news = False
        try:
            async with (
                AsyncSession(self._writer, expire_on_commit=False) as session,
                session.begin(),
            ):
                yield session
                news = await events.write(session)
        except OperationalError as error:
            raise _explain(error) from error

        if news:
            for tell in tuple(self.news):
                tell()

    async def close(self) -> None:
        await self._engine.dispose()


def _explain(error: OperationalError) -> StorageUnavailable:
    words = str(error.orig).lower()
    if "full" in words or "no space" in words:
        return StorageFull("The disk that holds the database is full; free some space and resume.")
    if "readonly" in words or "read-only" in words:
        return StorageReadOnly(
            "The database cannot be written; make its folder writable or set MAQUETTE_HOME."
        )
    return StorageUnavailable(f"The database does not answer: {error.orig}. Try again.")
