"""A project's rows on their way out and in: which tables go, in which order, and what stays.

What is not here stays at home: people, memberships, favourites, keys and secrets, caps, budgets
and holds, credits, uploads on their way, exports, events.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Collection, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from sqlalchemy import Column, Integer, Select, Table, insert, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.sql.elements import ColumnElement

from maquette.core.errors import ArchiveDamaged
from maquette.db import tables as t
from maquette.db.base import Base
from maquette.db.engine import Database

_PAGE = 500
Row = dict[str, Any]
Whose = Callable[[str], ColumnElement[bool]]


@dataclass(frozen=True)
class Carried:
    """A table whose rows go with their project."""

    kind: type[Base]
    whose: Whose
    at_home: frozenset[str] = frozenset()
    """Columns that mean nothing elsewhere, or are nobody else's business."""
    order: tuple[str, ...] = ()
    """Instead of the primary key."""

    @property
    def table(self) -> Table[Any]:
        return cast("Table[Any]", self.kind.__table__)

    @property
    def name(self) -> str:
        return self.table.name

    def columns(self) -> Iterator[Column[Any]]:
        """Yield what is carried: no people, no numbers that the database gives."""
        for column in self.table.columns:
            if not (column.name in self.at_home or _is_serial(column) or of_people(column)):
                yield column

    @property
    def key(self) -> Column[Any] | None:
        """The column that names a row, where rows have names of their own."""
        found = list(self.table.primary_key.columns)
        named = len(found) == 1 and not _is_serial(found[0])
        return found[0] if named else None


def _is_serial(column: Column[Any]) -> bool:
    return column.primary_key and isinstance(column.type, Integer) and not column.foreign_keys


def of_people(column: Column[Any]) -> bool:
    return target(column) == "users"


def target(column: Column[Any]) -> str | None:
    """Return the table that a column refers to."""
    return next((one.column.table.name for one in column.foreign_keys), None)


def _runs(project_id: str) -> Select[Any]:
    return select(t.Run.id).where(t.Run.project_id == project_id)


def _jobs(project_id: str) -> Select[Any]:
    return select(t.Job.id).where(t.Job.run_id.in_(_runs(project_id)))


def _assets(project_id: str) -> Select[Any]:
    return select(t.Asset.id).where(t.Asset.project_id == project_id)


def _chats(project_id: str) -> Select[Any]:
    return select(t.ChatSession.id).where(t.ChatSession.project_id == project_id)


def _instructions(project_id: str) -> Select[Any]:
    return select(t.Instruction.id).where(t.Instruction.project_id == project_id)


_AT_HOME = frozenset({"root", "s3", "notify_url"})

CARRIED: tuple[Carried, ...] = (
    Carried(t.Project, lambda p: t.Project.id == p, _AT_HOME),
    Carried(t.Run, lambda p: t.Run.project_id == p, frozenset({"root"})),
    Carried(t.Job, lambda p: t.Job.run_id.in_(_runs(p)), order=("run_id", "position")),
    # In whose books a call counts is said by who made it; where it arrives, it counts in none.
    Carried(t.Attempt, lambda p: t.Attempt.job_id.in_(_jobs(p)), frozenset({"project_id"})),
    Carried(t.Blob, lambda p: t.Blob.project_id == p),
    # The index of words keeps the order in which they come: the newest last.
    Carried(
        t.Asset,
        lambda p: t.Asset.project_id == p,
        frozenset({"words_id"}),
        order=("created_at", "id"),
    ),
    Carried(
        t.AssetParent,
        lambda p: t.AssetParent.asset_id.in_(_assets(p)) & t.AssetParent.parent_id.in_(_assets(p)),
    ),
    Carried(t.Candidate, lambda p: t.Candidate.job_id.in_(_jobs(p)), order=("job_id", "position")),
    Carried(t.Step, lambda p: t.Step.job_id.in_(_jobs(p))),
    Carried(t.File, lambda p: t.File.project_id == p),
    Carried(t.AssetTag, lambda p: t.AssetTag.asset_id.in_(_assets(p))),
    Carried(t.Consent, lambda p: t.Consent.project_id == p),
    Carried(t.ChatSession, lambda p: t.ChatSession.project_id == p),
    Carried(t.ChatMessage, lambda p: t.ChatMessage.session_id.in_(_chats(p))),
    Carried(t.Instruction, lambda p: t.Instruction.project_id == p),
    Carried(t.InstructionEvent, lambda p: t.InstructionEvent.instruction_id.in_(_instructions(p))),
    Carried(t.VoiceRequest, lambda p: t.VoiceRequest.project_id == p),
    Carried(t.Snapshot, lambda p: t.Snapshot.project_id == p),
)
BY_NAME: Mapping[str, Carried] = {one.name: one for one in CARRIED}

DIGESTS: Mapping[str, str] = {
    "blobs": "digest",
    "assets": "digest",
    "voice_requests": "audio_digest",
    "project_snapshots": "digest",
}
"""Where rows name objects of the store."""


@asynccontextmanager
async def one_view(db: Database) -> AsyncGenerator[AsyncSession]:
    """Read many tables as they were at one moment; SQLite's reads always do."""
    async with db.read() as session:
        if not db.is_sqlite:
            level = {"isolation_level": "REPEATABLE READ"}
            await session.connection(execution_options=level)
        yield session


async def rows_of(session: AsyncSession, carried: Carried, project_id: str) -> AsyncGenerator[Row]:
    """Yield a project's rows of one table as JSON holds them, always in the same order."""
    columns = list(carried.columns())
    names = carried.order or tuple(one.name for one in carried.table.primary_key.columns)
    query = (
        select(*columns)
        .where(carried.whose(project_id))
        .order_by(*(carried.table.columns[name] for name in names))
        .execution_options(yield_per=_PAGE)
    )
    found = await session.stream(query)
    try:
        async for row in found:
            yield {one.name: _plain(value) for one, value in zip(columns, row, strict=True)}
    finally:
        await found.close()


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value


async def taken(session: AsyncSession, carried: Carried, ids: Sequence[str]) -> str | None:
    """Return one of the ids that a row has already."""
    key = carried.key
    assert key is not None, f"{carried.name} has no ids"
    for start in range(0, len(ids), _PAGE):
        query = select(key).where(key.in_(ids[start : start + _PAGE])).limit(1)
        found = (await session.execute(query)).scalar_one_or_none()
        if found is not None:
            return str(found)
    return None


async def insert_all(session: AsyncSession, carried: Carried, rows: Iterator[Row]) -> None:
    """Insert rows whose ids are free; a rule that the database knows better refuses the archive."""
    page: list[Row] = []
    try:
        for row in rows:
            page.append(row)
            if len(page) == _PAGE:
                await session.execute(insert(carried.table), page)
                page = []
        if page:
            await session.execute(insert(carried.table), page)
    except IntegrityError as error:
        raise ArchiveDamaged(
            f"The archive's rows of {carried.name!r} contradict each other ({error.orig}). "
            "Nothing of it was taken in; export the project again."
        ) from None


async def digests(session: AsyncSession, project_id: str) -> Collection[str]:
    """Return the objects that rows name which are no pictures: snapshots and recorded voices."""
    found: set[str] = set()
    for table in ("project_snapshots", "voice_requests"):
        carried = BY_NAME[table]
        column = carried.table.columns[DIGESTS[table]]
        query = select(column).where(carried.whose(project_id), column.is_not(None))
        found.update((await session.execute(query)).scalars())
    return found
