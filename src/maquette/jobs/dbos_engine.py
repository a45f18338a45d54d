"""The engine on DBOS Transact: SQLite beside our database, or a schema of its own on Postgres."""

from __future__ import annotations

import asyncio
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from dbos import DBOS, DBOSConfig, DBOSPortableJSONSerializer, SetWorkflowID
from sqlalchemy import event

from maquette.db.engine import is_sqlite, prepare_sqlite, sqlite_url
from maquette.jobs.engine import Engine, Work, job_of

APPLICATION_VERSION = "pipeline-1"
"""Pinned: DBOS would strand unfinished work at every upgrade otherwise."""

_LISTEN_S = 0.1
"""How long DBOS's listener sleeps at a time, and so how long the end of every run may wait for it.

It listens for messages between workflows; we send none, so there is nothing else to look for."""

_FINISHED = {"SUCCESS", "ERROR", "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED"}
_UNLIMITED = 1_000_000_000
_work: dict[str, Work] = {}


@DBOS.workflow(name="maquette-job", max_recovery_attempts=_UNLIMITED)
async def _job_workflow(ticket: str) -> None:
    await _work["job"](job_of(ticket))


class DbosEngine(Engine):
    """One process works a home at a time, so the executor's id is fixed and recovers its own."""

    def __init__(self, url: str, engine_file: Path) -> None:
        self._url = sqlite_url(engine_file) if is_sqlite(url) else url
        self._sqlite = is_sqlite(url)

    async def launch(self, work: Work) -> None:
        _work["job"] = work
        # In a thread, before the launch: on SQLite its migrator opens an IMMEDIATE transaction of
        # its own; on Postgres it builds indexes concurrently, which waits for every transaction
        # that is open, those of this very loop included.
        await asyncio.to_thread(DBOS.migrate, self._url)
        DBOS(config=self._config())
        DBOS.launch()

    def _config(self) -> DBOSConfig:
        config = DBOSConfig(
            name="maquette",
            system_database_url=self._url,
            executor_id="embedded",
            application_version=APPLICATION_VERSION,
            serializer=DBOSPortableJSONSerializer(),
            log_level="ERROR",
            run_migrations=False,
            notification_listener_polling_interval_sec=_LISTEN_S,
        )
        if self._sqlite:
            config["system_database_engine"] = _strict_sqlite(self._url)
        return config

    async def submit(self, ticket: str) -> None:
        with SetWorkflowID(ticket):
            await DBOS.start_workflow_async(_job_workflow, ticket)

    async def ended(self, ticket: str) -> bool:
        status = await DBOS.get_workflow_status_async(ticket)
        return status is not None and status.status in _FINISHED

    async def close(self) -> None:
        await asyncio.to_thread(DBOS.destroy)
        # DBOS puts an executor of its own into the loop, and has just shut it down.
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor())


def _strict_sqlite(url: str) -> sa.Engine:
    """Cure what DBOS leaves open on SQLite: durability, atomic claims and its clock."""
    engine = sa.create_engine(url, pool_size=20, max_overflow=0)

    def connect(connection: Any, record: object) -> None:
        prepare_sqlite(connection, record)
        if sys.version_info < (3, 12):
            connection.create_function("strftime", 2, _seconds)
        elif connection.execute("SELECT unixepoch('subsec')").fetchone()[0] is None:
            connection.create_function("unixepoch", 1, lambda _unit: time.time())

    def begin(connection: sa.Connection) -> None:
        if connection.get_execution_options().get("isolation_level") != "AUTOCOMMIT":
            connection.exec_driver_sql("BEGIN IMMEDIATE")

    event.listen(engine, "connect", connect)
    event.listen(engine, "begin", begin)
    return engine


def _seconds(form: str, moment: str) -> float | None:
    """Answer DBOS's `strftime('%s', 'now')` with fractions of a second."""
    return time.time() if (form, moment) == ("%s", "now") else None
