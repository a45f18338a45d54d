"""A report over a million paid calls, on SQLite and Postgres: as a dashboard asks for it.

The rows are written by SQL: a year of 2,740 calls a day. A smaller number of calls, and one of the
databases:

Run: python -m benchmarks.costs [CALLS] [sqlite|postgres]
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import insert, text

from benchmarks.submission import postgres
from benchmarks.timing import Bound, report
from maquette.db import costs, migrate
from maquette.db.costs import DIMENSIONS, Dimension, Sight, Which
from maquette.db.engine import Database, sqlite_url
from maquette.db.tables import Attempt, Job, Project, Run, User

_CALLS = 1_000_000
_PROJECTS, _PEOPLE = 200, 50
_MOST_S = 2.0
_NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
_MONTH = ("2025-03-01", "2025-03-31")
_NUMBERS = {
    True: "(WITH RECURSIVE c(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM c WHERE n < :last) "
    "SELECT n FROM c) s",
    False: "(SELECT generate_series(0, CAST(:last AS int)) n) s",
}
_ID = {True: "printf('%08x-%08x', (n * 2654435761) % 4294967296, n)", False: "md5(n::text)"}
_DAY = {
    True: "date('2025-01-01', '+' || (n / 2740) || ' days')",
    False: "to_char(date '2025-01-01' + n / 2740, 'YYYY-MM-DD')",
}
_AT = {
    True: "datetime('2025-01-01', '+' || (n * 31) || ' seconds')",
    False: "timestamptz '2025-01-01' + make_interval(secs => n * 31.0)",
}


def main() -> None:
    numbers = [int(word) for word in sys.argv[1:] if word.isdigit()]
    wanted = [word for word in sys.argv[1:] if not word.isdigit()] or ["sqlite", "postgres"]
    count = numbers[0] if numbers else _CALLS
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
        Bound(f"{what}, seconds", seconds, at_most=_MOST_S)
        for what, seconds in times.items()
        if "50,000 lines" not in what
    ]
    report(f"Reports over {count:,} calls, the least of three", times, bounds)


async def measured(url: str, count: int) -> dict[str, float]:
    """Return the least time of each kind of report."""
    await asyncio.to_thread(migrate.migrate, url)
    db = Database(url)
    try:
        await _fill(db, count)
        return {what: await _least(ask) for what, ask in _reports(db).items()}
    finally:
        await db.close()


async def _fill(db: Database, count: int) -> None:
    run: dict[str, Any] = {
        "state": "succeeded",
        "root": "/",
        "settings": {},
        "versions": {},
        "worst_case_nano": 0,
    }
    at = {"created_at": _NOW}
    rows: list[tuple[Any, list[dict[str, Any]]]] = [
        (User, [{"id": f"u{n}", "name": f"n{n}", "role": "creator", **at} for n in range(_PEOPLE)]),
        (Project, [{"id": f"p{n}", "slug": f"s{n}", "name": "", **at} for n in range(_PROJECTS)]),
        (
            Run,
            [
                {"id": f"r{n}", "project_id": f"p{n}", "confirmed": True, **run, **at}
                for n in range(_PROJECTS)
            ],
        ),
        (Job, [_job(n) for n in range(_PROJECTS)]),
    ]
    async with db.write() as session:
        for table, values in rows:
            await session.execute(insert(table), values)
        await session.execute(text(_calls(local=db.is_sqlite)), {"last": count - 1})
    if not db.is_sqlite:  # as its own housekeeping does in time
        async with db.write() as session:
            await session.execute(text("ANALYZE"))


def _job(number: int) -> dict[str, Any]:
    return {
        "id": f"j{number}",
        "run_id": f"r{number}",
        "position": 0,
        "scene": "s",
        "state": "succeeded",
        "spec": {},
        "worst_case_nano": 0,
        "created_at": _NOW,
    }


def _calls(*, local: bool) -> str:
    columns = {
        "id": _ID[local],
        "job_id": f"'j' || (n % {_PROJECTS})",
        "project_id": f"'p' || (n % {_PROJECTS})",
        "user_id": f"'u' || ((n / 7) % {_PEOPLE})",
        '"call"': "'c' || n",
        "number": "1",
        "state": "'settled'",
        "provider": "'scripted'",
        "endpoint": "'default'",
        "model": "'model-' || (n % 8)",
        "paid": "true",
        "day": _DAY[local],
        "request": "'{}'",
        "reserved_nano": "40000000",
        "settled_nano": "30000000",
        "created_at": _AT[local],
        "sent_at": _AT[local],
    }
    names, values = ", ".join(columns), ", ".join(columns.values())
    table = Attempt.__tablename__
    return f"INSERT INTO {table} ({names}) SELECT {values} FROM {_NUMBERS[local]}"  # noqa: S608 - all of it stands here


def _reports(db: Database) -> dict[str, Callable[[], Awaitable[object]]]:
    def sums(by: tuple[Dimension, ...], which: Which) -> Callable[[], Awaitable[object]]:
        async def ask() -> object:
            async with db.read() as session:
                return await costs.sums(session, by, which, 50_001)

        return ask

    def page(which: Which) -> Callable[[], Awaitable[object]]:
        async def ask() -> object:
            async with db.read() as session:
                return await costs.calls(session, which, 50, None)

        return ask

    member = Sight("u3", frozenset({"p1", "p2"}))
    return {
        "all by day": sums(("day",), Which()),
        "all by user": sums(("user",), Which()),
        "all by project": sums(("project",), Which()),
        "all by model": sums(("model",), Which()),
        "all by day and model": sums(("day", "model"), Which()),
        "all by everything, 50,000 lines": sums(DIMENSIONS, Which()),
        "a month by model": sums(("model",), Which(*_MONTH)),
        "a month by everything": sums(DIMENSIONS, Which(*_MONTH)),
        "what a member sees, by day": sums(("day",), Which(sight=member)),
        "a page of calls": page(Which()),
        "a page of a member's calls": page(Which(sight=member)),
        "a page of a stranger's": page(Which(sight=Sight("nobody", frozenset()))),
    }


async def _least(ask: Callable[[], Awaitable[object]]) -> float:
    times: list[float] = []
    for _ in range(3):
        began = time.perf_counter()
        await ask()
        times.append(time.perf_counter() - began)
    return min(times)


if __name__ == "__main__":
    main()
