"""SQLite's connections: each statement is one trip to its thread, and writers stand in line.

The driver makes four trips for a statement (open a cursor, execute, fetch, close), which cost more
than the statement. Writers of one process would find each other's lock and sleep, up to a tenth of
a second at a time; here the next begins as soon as the one before has committed.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Self, cast

from aiosqlite import Connection as Driver

BEGIN_READING = "BEGIN"
BEGIN_WRITING = "BEGIN IMMEDIATE"
_PAGE = 1000
"""So many rows come with their statement; more are fetched when they are wanted."""
_PATIENCE_S = 120
"""For the writers of this process that came before: a crowd stands in line."""
_Rows = Sequence[Any]


class Connection(Driver):
    """A connection that its thread is asked once for each statement."""

    def __init__(self, connector: Callable[[], sqlite3.Connection], line: asyncio.Lock) -> None:
        super().__init__(connector, _PAGE)
        self._thread.daemon = True  # as SQLAlchemy has it: none that is left open keeps us alive
        self._line = line
        self._writing = False
        self._reading = False
        """Whether a transaction begins with the next statement; until then it locks nothing."""

    def cursor(self) -> Cursor:  # pyright: ignore[reportIncompatibleMethodOverride] - not a context
        """Return a cursor that goes nowhere until it has a statement."""
        return Cursor(self)

    async def begin_writing(self) -> None:
        """Wait for the writers before; SQLite's own lock is for other processes."""
        try:
            async with asyncio.timeout(_PATIENCE_S):
                await self._line.acquire()
        except TimeoutError:
            raise sqlite3.OperationalError("database is locked") from None
        self._writing = True
        try:
            await self.run(lambda own: own.execute(BEGIN_WRITING))
        except sqlite3.Error:  # another process is quicker; whoever is cancelled here is closed
            self._leave_line()
            raise

    def begin_reading(self) -> None:
        self._reading = True

    def run(self, work: Callable[[sqlite3.Connection], Any]) -> Awaitable[Any]:
        """Do the work in the connection's thread."""
        begins, self._reading = self._reading, False
        execute = cast("Callable[..., Awaitable[Any]]", self._execute)  # pyright: ignore[reportUnknownMemberType] - untyped
        return execute(_begun if begins else _as_it_is, self._conn, work)

    async def commit(self) -> None:
        if self._reading:
            self._reading = False
            return
        await super().commit()
        self._leave_line()

    async def rollback(self) -> None:
        if self._reading:
            self._reading = False
            return
        try:
            await super().rollback()
        finally:
            self._leave_line()

    async def close(self) -> None:
        try:
            await super().close()
        finally:
            self._leave_line()

    def stop(self) -> asyncio.Future[Any] | None:
        stopped = cast("asyncio.Future[Any] | None", super().stop())  # pyright: ignore[reportUnknownMemberType] - untyped
        self._leave_line()
        return stopped

    def _leave_line(self) -> None:
        if self._writing:
            self._writing = False
            self._line.release()


def _as_it_is(connection: sqlite3.Connection, work: Callable[[sqlite3.Connection], Any]) -> Any:
    return work(connection)


def _begun(connection: sqlite3.Connection, work: Callable[[sqlite3.Connection], Any]) -> Any:
    connection.execute(BEGIN_READING)
    return work(connection)


class Cursor:
    """One statement, and its rows."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._open: sqlite3.Cursor | None = None
        """While there are more rows than came at once."""
        self._rows: list[Any] = []
        self.arraysize = 1
        self.description: Any = None
        self.rowcount = -1
        self.lastrowid: int | None = None

    async def __aenter__(self) -> Self:
        return self

    async def execute(self, sql: str, parameters: Any = ()) -> None:
        if sql == BEGIN_READING:
            self._connection.begin_reading()
            return
        if sql == BEGIN_WRITING:
            await self._connection.begin_writing()
            return
        await self._connection.run(lambda own: self._done(own.execute(sql, parameters)))

    async def executemany(self, sql: str, parameters: Any) -> None:
        await self._connection.run(lambda own: self._done(own.executemany(sql, parameters)))

    def _done(self, cursor: sqlite3.Cursor) -> None:
        """Take everything along; in the connection's thread."""
        self.description = cursor.description
        if cursor.description:
            self._rows = cursor.fetchmany(_PAGE)
        self.rowcount, self.lastrowid = cursor.rowcount, cursor.lastrowid
        if len(self._rows) < _PAGE:
            cursor.close()
        else:
            self._open = cursor

    async def fetchall(self) -> _Rows:
        return await self.fetchmany(None)

    async def fetchone(self) -> Any:
        rows = await self.fetchmany(1)
        return rows[0] if rows else None

    async def fetchmany(self, size: int | None = 1) -> _Rows:
        """Return the next rows; None: all."""
        more = None if size is None else size - len(self._rows)
        cursor = self._open
        if cursor is not None and (more is None or more > 0):
            self._rows += await self._connection.run(
                lambda _own: cursor.fetchall() if more is None else cursor.fetchmany(more)
            )
            self.rowcount = cursor.rowcount
        taken = self._rows if size is None else self._rows[:size]
        self._rows = self._rows[len(taken) :]
        return taken

    async def close(self) -> None:
        cursor, self._open = self._open, None
        if cursor is not None:
            await self._connection.run(lambda _own: cursor.close())
