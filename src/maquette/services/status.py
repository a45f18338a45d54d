"""How the installation is: alive, ready, and what waits."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from maquette.core.errors import MaquetteError
from maquette.db import runs, workers
from maquette.services.studio import Studio

BEAT_S = 5.0
DEAD_S = 30.0


@dataclass(frozen=True)
class Queue:
    """Jobs by state, and who works them."""

    queued: int
    running: int
    workers: int
    """Processes that beat within the last half minute, standing by included."""


@dataclass(frozen=True)
class Status:
    """What `/health` tells."""

    ready: bool
    database: str
    """`ok`, or why it does not answer."""
    queue: Queue


async def status(studio: Studio) -> Status:
    """Ask the database; never raises."""
    try:
        async with studio.shop.db.read() as session:
            queued, running = await runs.count_open(session)
            since = studio.shop.clock.now() - timedelta(seconds=DEAD_S)
            alive = await workers.alive(session, since)
    except MaquetteError as error:
        return Status(ready=False, database=error.code, queue=Queue(0, 0, 0))
    return Status(ready=True, database="ok", queue=Queue(queued, running, alive))
