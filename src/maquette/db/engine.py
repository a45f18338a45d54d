"""The database: SQLite on a laptop, Postgres for many machines, behind two verbs."""

from __future__ import annotations

import asyncio
import hashlib
import sqlite3
from collections.abc import AsyncGenerator, Callable, Collection, Generator
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, cast

from filelock import FileLock, Timeout
from sqlalchemy import Connection, event, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.pool import NullPool

from maquette.core.errors import StorageFull, StorageReadOnly, StorageUnavailable
from maquette.db import events
from maquette.db.sqlite import BEGIN_READING, BEGIN_WRITING
from maquette.db.sqlite import Connection as SqliteConnection

_WRITES = "maquette_writes"
_DESK = 0x6D61_7175_6574_7465
"""The advisory lock's number: "maquette" in ASCII."""
_PRAGMAS = ("busy_timeout=30000", "foreign_keys=ON", "journal_mode=WAL", "synchronous=FULL")


_PATIENCE_S = 120
"""For a connection of the pool: a crowd stands in line rather than being sent away."""
_CONNECTIONS = 15
"""To a file; each has a thread of its own, so they are kept."""
_UNREACHABLE = (OperationalError, InterfaceError, PoolTimeout)


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
    connection.exec_driver_sql(BEGIN_WRITING if writes else BEGIN_READING)


class Database:
    """Opens transactions: `read()` sees one snapshot, `write()` commits or changes nothing."""

    def __init__(self, url: str) -> None:
        self.url = url
        parsed = make_url(url)
        self.is_sqlite = is_sqlite(url)
        self.news: list[Callable[[Collection[str]], None]] = []
        """Called after each commit of this process that recorded events, with their kinds."""
        if self.is_sqlite:
            self._engine = create_async_engine(
                parsed.set(drivername="sqlite+aiosqlite"),
                async_creator=self._connected,
                pool_size=_CONNECTIONS,
                max_overflow=0,
                pool_timeout=_PATIENCE_S,
                hide_parameters=True,
            )
            self._line = asyncio.Lock()
            event.listen(self._engine.sync_engine, "connect", prepare_sqlite)
            event.listen(self._engine.sync_engine, "begin", _begin_sqlite)
        else:
            self._engine = create_async_engine(
                parsed.set(drivername="postgresql+psycopg"),
                pool_timeout=_PATIENCE_S,
                hide_parameters=True,
            )
        self._writer = self._engine.execution_options(**{_WRITES: True})

    async def _connected(self) -> SqliteConnection:
        """Open a connection to the file, as SQLAlchemy would."""
        arguments, options = self._engine.dialect.create_connect_args(self._engine.url)
        connect = partial(sqlite3.connect, *arguments, **cast("dict[str, Any]", options))
        connection = SqliteConnection(connect, self._line)
        await connection
        return connection

    @asynccontextmanager
    async def read(self) -> AsyncGenerator[AsyncSession]:
        try:
            async with AsyncSession(
                self._engine, expire_on_commit=False, autoflush=False
            ) as session:
                yield session
        except _UNREACHABLE as error:
            raise _explain(error) from error

    @asynccontextmanager
    async def desk(self) -> AsyncGenerator[bool]:
        """Hold the desk of a Postgres database; False while another machine does.

        SQLite's desk is the home's file lock alone: it never leaves its machine.
        """
        if self.is_sqlite:
            yield True
            return
        async with self._locked(_DESK) as mine:
            yield mine

    @asynccontextmanager
    async def alive(self, name: str) -> AsyncGenerator[bool]:
        """Hold a name until the block ends or the process dies; False while another does.

        SQLite's names are locked files beside it, which never leave its machine either.
        """
        if self.is_sqlite:
            with _locked_file(Path(f"{make_url(self.url).database}.alive"), name) as mine:
                yield mine
            return
        key = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], signed=True)
        async with self._locked(key) as mine:
            yield mine

    @asynccontextmanager
    async def _locked(self, key: int) -> AsyncGenerator[bool]:
        """Hold an advisory lock on a connection of its own: the pool's are for transactions."""
        own = create_async_engine(self._engine.url, poolclass=NullPool)
        async with own.connect() as connection:  # closing it frees the lock
            await connection.execution_options(isolation_level="AUTOCOMMIT")
            asked = text("SELECT pg_try_advisory_lock(:key)")
            yield bool((await connection.execute(asked, {"key": key})).scalar_one())

    @asynccontextmanager
    async def write(self) -> AsyncGenerator[AsyncSession]:
        news: Collection[str] = ()
        try:
            async with (
                AsyncSession(self._writer, expire_on_commit=False) as session,
                session.begin(),
            ):
                yield session
                news = await events.write(session)
        except _UNREACHABLE as error:
            raise _explain(error) from error

        if news:
            for tell in tuple(self.news):
                tell(news)

    async def close(self) -> None:
        await self._engine.dispose()


@contextmanager
def _locked_file(folder: Path, name: str) -> Generator[bool]:
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}.lock"
    lock = FileLock(path, thread_local=False)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        yield False
        return
    try:
        yield True
    finally:
        lock.release()
        with suppress(OSError):  # somebody is just looking whether it is held
            path.unlink()


def _explain(error: Exception) -> StorageUnavailable:
    cause = error.orig if isinstance(error, DBAPIError) else error
    words = str(cause).lower()
    if "full" in words or "no space" in words:
        return StorageFull("The disk that holds the database is full; free some space and resume.")
    if "readonly" in words or "read-only" in words:
        return StorageReadOnly(
            "The database cannot be written; make its folder writable or set MAQUETTE_HOME."
        )
    return StorageUnavailable(f"The database does not answer: {cause}. Try again.")
