"""Working whatever is queued: in the server, or in a worker of its own."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from contextlib import suppress
from datetime import timedelta
from typing import Literal
from uuid import uuid4

from filelock import FileLock, Timeout

from maquette.db import instructions, notices, runs, workers
from maquette.jobs.desk import Desk
from maquette.services import closing, housekeeping, metering, notifying, voices
from maquette.services.hands import Hands
from maquette.services.status import BEAT_S, DEAD_S
from maquette.services.studio import Studio

_TAKEOVER_S = 0.5
_AGAIN_S = 5.0
_PATIENCE_S = 60.0
"""After that a run whose rows could not be written is tried again."""
log = logging.getLogger(__name__)


async def work(studio: Studio, stop: asyncio.Event, *, once: bool = False) -> None:
    """Work all runs and instructions until `stop` is set; while another process does, stand by.

    `once`: only until nothing is left to do.
    """
    beats = _Beats(studio)
    beating = asyncio.create_task(beats.keep(), name="beats")
    try:
        while not stop.is_set():
            wait_s = _TAKEOVER_S
            try:
                if await _at_desk(studio, stop, beats, once=once):
                    return
                if once and await _nothing_left(studio):
                    return
            except Exception:
                log.exception("the desk had to be left; taking it again soon")
                wait_s = _AGAIN_S
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), wait_s)
    finally:
        beats.end()
        await beating


class _Beats:
    """Says every few seconds that this process lives, and what it does."""

    def __init__(self, studio: Studio) -> None:
        self._studio = studio
        self._id = str(uuid4())
        self._name = f"{socket.gethostname()}:{os.getpid()}"[:120]
        self._state: Literal["working", "standing_by"] = "standing_by"
        self._changed = asyncio.Event()
        self._ended = False

    def end(self) -> None:
        """Let `keep` say its last word."""
        self._ended = True
        self._changed.set()

    def now(self, state: Literal["working", "standing_by"]) -> None:
        """Say what this process does from here on."""
        self._state = state
        self._changed.set()

    async def keep(self) -> None:
        while not self._ended:
            self._changed.clear()
            try:
                async with self._studio.shop.db.write() as session:
                    at = self._studio.shop.clock.now()
                    await workers.beat(session, self._id, self._name, self._state, at)
            except Exception as error:  # noqa: BLE001 - whatever it is, the next beat may succeed
                log.warning("this worker could not say that it lives: %s", error)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), BEAT_S)
        await self._leave()

    async def _leave(self) -> None:
        """Take the row away, and those of workers that died."""
        dead = self._studio.shop.clock.now() - timedelta(seconds=DEAD_S)
        try:
            async with self._studio.shop.db.write() as session:
                await workers.leave(session, self._id, dead)
        except Exception as error:  # noqa: BLE001 - it dies by itself half a minute later
            log.warning("this worker could not say that it leaves: %s", error)


async def _at_desk(studio: Studio, stop: asyncio.Event, beats: _Beats, *, once: bool) -> bool:
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
            beats.now("working")
            await metering.put_in_order(studio)
            await voices.put_in_order(studio)
            await _work(studio, stop, once=once)
    finally:
        beats.now("standing_by")
        lock.release()
    return True


async def _work(studio: Studio, stop: asyncio.Event, *, once: bool) -> None:
    """Do all that the desk is for, side by side; when one part ends, the others leave."""
    leaving = asyncio.Event()
    desk = Desk(
        studio.shop,
        studio.new_engine(),
        lambda run: closing.finish(studio, run),
        patience_s=_PATIENCE_S,
    )
    hands = Hands(studio, leaving)

    async def done() -> bool:
        return leaving.is_set() or (once and await _nothing_left(studio, desk, hands))

    parts = [
        asyncio.create_task(desk.work_until(done, leaving), name="desk"),
        asyncio.create_task(hands.work(), name="hands"),
        asyncio.create_task(notifying.keep(studio, leaving), name="notices"),
        asyncio.create_task(housekeeping.keep(studio, leaving), name="housekeeping"),
        asyncio.create_task(_passed_on(stop, leaving), name="stopping"),
    ]
    try:
        await asyncio.wait(parts, return_when=asyncio.FIRST_COMPLETED)
    finally:
        leaving.set()
        await asyncio.wait(parts)
    for part in parts:
        part.result()


async def _passed_on(stop: asyncio.Event, leaving: asyncio.Event) -> None:
    """Leave when the process is to stop."""
    waits = [asyncio.create_task(one.wait()) for one in (stop, leaving)]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for one in waits:
            one.cancel()


async def _nothing_left(
    studio: Studio, desk: Desk | None = None, hands: Hands | None = None
) -> bool:
    """Tell whether nothing waits, besides what this desk cannot do for now."""
    async with studio.shop.db.read() as session:
        waiting = set(await runs.open_ids(session)) - set(desk.problems if desk else ())
        stuck = hands.stuck if hands else ()
        return not (
            waiting or await instructions.to_do(session, 1, stuck) or await notices.due(session, 1)
        )
