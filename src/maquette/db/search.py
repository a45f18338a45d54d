"""The index of words: SQLite's FTS5 or a Postgres tsvector, asked in the same way.

Triggers keep it. What a person types is text to look for and never syntax: each word is quoted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    FromClause,
    Integer,
    and_,
    column,
    func,
    select,
    table,
)
from sqlalchemy.ext.asyncio import AsyncSession

from maquette.db.tables import Asset

RECENT = 10_000
_MOST_WORDS = 16


@dataclass(frozen=True)
class Index:
    """The index as a query joins it."""

    rows: FromClause
    key: ColumnElement[int]
    """Grows with each asset: newest first is downwards."""
    found: ColumnElement[bool]

    @property
    def joined(self) -> ColumnElement[bool]:
        return Asset.words_id == self.key


def words_of(text: str) -> tuple[str, ...]:
    """Split what a person typed; what holds no letter or digit is no word."""
    words = (word for word in text.split() if any(letter.isalnum() for letter in word))
    return tuple(words)[:_MOST_WORDS]


def index(
    session: AsyncSession,
    project_id: str,
    words: tuple[str, ...],
    after: int | None,
    *,
    recent: bool,
) -> Index:
    """Find a project's assets that have all the words; the last may be a beginning.

    `recent`: on Postgres, only among those that were added last. It reads those one by one, which
    is quick where many match, and else collects what matches from its index, which is quick where
    few do; which of the two it is, its estimates of beginnings do not tell.
    """
    scope = "p" + project_id.replace("-", "")
    here = Asset.project_id == project_id
    if not is_postgres(session):
        rows = table("asset_words", column("rowid", Integer), column("asset_words"))
        found = rows.c.asset_words.op("MATCH")(sqlite_query(scope, words))
        # Only looked at: with a concatenation no index of the project is used.
        return Index(rows, rows.c.rowid, and_(found, Asset.project_id + "" == project_id))
    rows = table("asset_words", column("id", BigInteger), column("words"))
    query: Any = func.to_tsquery("simple", postgres_query(scope, words))
    if recent:
        newest: Any = select(func.max(rows.c.id)).scalar_subquery() if after is None else after
        # The function behind the operator: only the operator would ask the index of words.
        looked = func.ts_match_vq(rows.c.words, query)
        return Index(rows, rows.c.id, and_(looked, rows.c.id > newest - RECENT, here))
    # In two steps: with an order or a limit in the first, it would read the rows in that order.
    hits = select(rows.c.id).where(rows.c.words.op("@@")(query)).cte("hits")
    hits = hits.prefix_with("MATERIALIZED")
    sorted_hits = select(hits.c.id).order_by(hits.c.id.desc())
    if after is not None:
        sorted_hits = sorted_hits.where(hits.c.id < after)
    newest_first = sorted_hits.cte("newest_first").prefix_with("MATERIALIZED")
    return Index(newest_first, newest_first.c.id, here)


def is_postgres(session: AsyncSession) -> bool:
    return session.get_bind().dialect.name == "postgresql"


def sqlite_query(scope: str, words: tuple[str, ...]) -> str:
    """Write a MATCH expression: in a string only the double quote means something."""
    quoted = ['"' + word.replace('"', '""') + '"' for word in words]
    return f"scope : {scope} AND words : ({' AND '.join(quoted)} *)"


def postgres_query(scope: str, words: tuple[str, ...]) -> str:
    """Write a tsquery: in a string only the quote and the backslash mean something."""
    quoted = ["'" + word.replace("\\", "\\\\").replace("'", "''") + "'" for word in words]
    return f"{scope} & {' & '.join(quoted)}:*"
