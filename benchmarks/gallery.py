"""A page of sixty assets among a million, on SQLite and Postgres: as a gallery asks for them.

The rows are written by SQL; the pages are asked for through the service, as the API does. About
eight minutes and 6 GB of disk. A smaller number of assets, and one of the databases:

Run: python -m benchmarks.gallery [ASSETS] [sqlite|postgres]
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import ColumnClause, Insert, TextClause, insert, literal_column, select, text

from benchmarks.submission import postgres
from benchmarks.timing import Bound, quantile, report
from maquette.db import library, migrate, search
from maquette.db.engine import Database, sqlite_url
from maquette.db.tables import Asset, AssetTag, Base, Blob, Favourite, Project, User

_ASSETS = 1_000_000
_PAGE = 60
_STEP = 50_000
_REPEATS = 40
_PROJECT = "11111111-2222-3333-4444-555555555555"
_PERSON = "person"
_NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
_MOST_S = 0.030

_KINDS = "CASE WHEN n % 100 = 0 THEN 'source' WHEN n % 3 = 0 THEN 'upscale' ELSE 'generated' END"
_PROMPTS = (
    "'a quiet harbour at dusk ' || CASE n % 7 WHEN 0 THEN 'with a red boat' WHEN 1 THEN 'in fog' "
    "ELSE 'in light rain' END || CASE n % 1000 WHEN 5 THEN ' and a lighthouse' ELSE '' END "
    "|| CASE WHEN n % 100000 = 9 THEN ' zeppelin' ELSE '' END || ' number ' || n"
)
_NUMBERS = {
    True: "(WITH RECURSIVE c(n) AS (SELECT :low UNION ALL SELECT n + 1 FROM c WHERE n < :high) "
    "SELECT n FROM c) s",
    False: "(SELECT generate_series(CAST(:low AS int), CAST(:high AS int)) n) s",
}
_ID = {
    True: "printf('%08x-0000-4000-8000-000000000000', {})",
    False: "lpad(to_hex({}), 8, '0') || '-0000-4000-8000-000000000000'",
}
_AT = {
    True: "strftime('%Y-%m-%d %H:%M:%S.000000', '2024-01-01', '+' || (n * 30) || ' seconds')",
    False: "TIMESTAMPTZ '2024-01-01 00:00:00Z' + n * INTERVAL '30 seconds'",
}
_SCATTERED = "((n * CAST(2654435761 AS BIGINT)) % 4294967296)"
"""Ids in no order, as real ones are."""
_DIGEST = {True: "printf('%064x', n)", False: "lpad(to_hex(n), 64, '0')"}


def main() -> None:
    numbers = [int(word) for word in sys.argv[1:] if word.isdigit()]
    wanted = [word for word in sys.argv[1:] if not word.isdigit()] or ["sqlite", "postgres"]
    count = numbers[0] if numbers else _ASSETS
    times: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        for kind in wanted:
            local = kind == "sqlite"
            url = (
                sqlite_url(Path(name, "app.db"))
                if local
                else stack.enter_context(postgres(Path(name)))
            )
            found = asyncio.run(measured(url, count))
            times |= {f"{kind}: {what}": seconds for what, seconds in found.items()}
    bounds = [
        Bound(f"{what}, p95 in seconds", seconds, at_most=_MOST_S)
        for what, seconds in times.items()
    ]
    report(f"A page of {_PAGE} among {count:,} assets, p95", times, bounds)


async def measured(url: str, count: int) -> dict[str, float]:
    """Return the 95th percentile of each kind of page."""
    await asyncio.to_thread(migrate.migrate, url)
    db = Database(url)
    try:
        began = time.perf_counter()
        await _fill(db, count)
        print(f"   filled in {time.perf_counter() - began:.0f} s", flush=True)
        return {what: await _p95(ask) for what, ask in _pages(db, count).items()}
    finally:
        await db.close()


async def _fill(db: Database, count: int) -> None:
    local = db.is_sqlite
    async with db.write() as session:
        await session.execute(
            insert(Project), [{"id": _PROJECT, "slug": "p", "name": "p", "created_at": _NOW}]
        )
        person = {"id": _PERSON, "name": "ann", "role": "creator", "created_at": _NOW}
        await session.execute(insert(User), [person])
    for low in range(1, count + 1, _STEP):
        numbers = text(_NUMBERS[local]).bindparams(low=low, high=min(low + _STEP - 1, count))
        async with db.write() as session:
            for statement in _rows(numbers, local=local):
                await session.execute(statement)
    if not local:  # as its own housekeeping does in time
        async with db.write() as session:
            await session.execute(text("ANALYZE"))


def _rows(numbers: TextClause, *, local: bool) -> list[Insert]:
    """Write the statements; each column is an expression of the number `n`."""
    at, digest, asset = _AT[local], _DIGEST[local], _ID[local].format(_SCATTERED)
    made = f"'{json.dumps({'request': {'options': 'x' * 400}})}'"
    project, person = f"'{_PROJECT}'", f"'{_PERSON}'"
    blob = {
        "project_id": project,
        "digest": digest,
        "media_type": "'image/png'",
        "size_bytes": "100000",
        "width_px": "1024",
        "height_px": "768",
        "has_alpha": "false",
        "created_at": at,
    }
    row = {
        "id": asset,
        "project_id": project,
        "digest": digest,
        "kind": _KINDS,
        "name": "'scene ' || n",
        "creator_id": person,
        "prompt": _PROMPTS,
        "provider": "CASE n % 5000 WHEN 3 THEN 'rare' ELSE 'common' END",
        "model": "'m' || (n % 4)",
        "made_by": made if local else f"CAST({made} AS jsonb)",
        "cost_nano": "40000000",
        "created_at": at,
        "deleted_at": f"CASE n % 500 WHEN 7 THEN {at} END",
    }
    mark = {"asset_id": asset, "project_id": project, "asset_at": at}
    liked = mark | {"user_id": person, "created_at": at}
    return [
        _inserted(Blob, blob, numbers),
        _inserted(Asset, row, numbers),
        _inserted(AssetTag, mark | {"tag": "'often'"}, numbers, "n % 3 = 0"),
        _inserted(AssetTag, mark | {"tag": "'seldom'"}, numbers, "n % 20000 = 3"),
        _inserted(Favourite, liked, numbers, "n % 2000 = 0"),
    ]


def _inserted(
    table: type[Base], columns: Mapping[str, str], numbers: TextClause, where: str = "n > 0"
) -> Insert:
    values: list[ColumnClause[Any]] = [literal_column(sql) for sql in columns.values()]
    source = select(*values).select_from(numbers).where(text(where))
    return insert(table).from_select(list(columns), source, include_defaults=False)


def _pages(db: Database, count: int) -> dict[str, Callable[[int], Awaitable[int]]]:
    """Return each kind of page; where it begins is another place every time."""

    def asks(words: str | None = None, **filters: object) -> Callable[[int], Awaitable[int]]:
        split = None if words is None else search.words_of(words)
        wanted = library.Filters(_PROJECT, words=split, **filters)  # pyright: ignore[reportArgumentType] - names and types match

        async def ask(turn: int) -> int:
            after = None if turn % 2 == 0 else _place(turn, count, words is not None)
            async with db.read() as session:
                return len(await library.page(session, wanted, _PERSON, _PAGE + 1, after))

        return ask

    return {
        "everything": asks(),
        "of a kind": asks(kind="generated"),
        "of a rare kind": asks(kind="source"),
        "of a rare provider": asks(provider="rare"),
        "of a model": asks(model="m2"),
        "with a frequent tag": asks(tags=("often",)),
        "with a rare tag": asks(tags=("seldom",)),
        "favourites": asks(liked_by=_PERSON),
        "the trash": asks(trashed=True),
        "a frequent word": asks("harbour"),
        "two words": asks("red boat"),
        "a rare word": asks("zeppelin"),
        "a beginning": asks("light"),
        "one letter": asks("l"),
        "a word and a kind": asks("lighthouse", kind="generated"),
    }


def _place(turn: int, count: int, by_words: bool) -> library.Place:  # noqa: FBT001 - one caller
    number = count * (turn % 10) // 10
    if by_words:
        return number
    moment = datetime.fromtimestamp(datetime(2024, 1, 1, tzinfo=UTC).timestamp() + 30 * number, UTC)
    return moment, "ffffffff"


async def _p95(ask: Callable[[int], Awaitable[int]]) -> float:
    times: list[float] = []
    assert await ask(0) > 0, "a page without assets measures nothing"
    for turn in range(_REPEATS):
        began = time.perf_counter()
        await ask(turn)
        times.append(time.perf_counter() - began)
    return quantile(times, 0.95)


if __name__ == "__main__":
    main()
