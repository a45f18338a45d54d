"""Working whatever is queued: in the server, or in a worker of its own."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress

from filelock import FileLock, Timeout

from maquette.core.errors import MaquetteError
from maquette.db import runs
from maquette.jobs.desk import Desk
from maquette.services import runlog
from maquette.services.studio import Studio

_TAKEOVER_S = 0.5
_AGAIN_S = 5.0
log = logging.getLogger(__name__)


async def work(studio: Studio, stop: asyncio.Event, *, once: bool = False) -> None:
    """Work all runs until `stop` is set; while another process does, stand by to take over.

    `once`: only until nothing is left to do.
    """
    while not stop.is_set():
        wait_s = _TAKEOVER_S
        try:
            if await _at_desk(studio, stop, once=once):
                return
        except MaquetteError:
            log.exception("the desk had to be left; taking it again soon")
            wait_s = _AGAIN_S
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), wait_s)


async def _at_desk(studio: Studio, stop: asyncio.Event, *, once: bool) -> bool:
    """Work at the desk until `stop`; False where another process has it."""
    lock = FileLock(studio.desk_lock)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return False
    try:
        async with studio.shop.db.desk() as mine:
            if not mine:
                return False
            desk = Desk(studio.shop, studio.new_engine(), lambda run: runlog.write(studio, run))

            async def done() -> bool:
                return stop.is_set() or (once and await _nothing_left(studio))

            await desk.work_until(done, stop)
    finally:
        lock.release()
    return True


async def _nothing_left(studio: Studio) -> bool:
    async with studio.shop.db.read() as session:
        return await runs.count_open(session) == (0, 0) and not await runs.open_runs_done(session)
