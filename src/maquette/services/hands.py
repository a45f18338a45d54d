"""The hands at the desk: queued instructions are done several at a time."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Collection
from contextlib import suppress

from maquette.db import instructions
from maquette.services.doing import Doer, Left
from maquette.services.studio import Studio

_POLL_S = 0.5
_PAUSE_S = 0.05
"""Between two looks, however much happens meanwhile."""
_PATIENCE_S = 60.0
"""After that, what our own rows forbade is tried again."""
_LEAST_AT_ONCE = 8
_HEARD = frozenset({"instruction_changed", "run_ended"})
"""What may give the hands something to do."""
log = logging.getLogger(__name__)


class Hands:
    """Do queued instructions until `leaving` is set."""

    def __init__(self, studio: Studio, leaving: asyncio.Event) -> None:
        self._studio = studio
        self._db = studio.shop.db
        self._leaving = leaving
        self._at_once = max(_LEAST_AT_ONCE, studio.shop.parallel_jobs * 2)
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._bell = asyncio.Event()
        self._stuck: dict[str, float] = {}
        self._doer = Doer(studio, leaving, self._news)

    @property
    def stuck(self) -> frozenset[str]:
        """What could not be done because of our own rows; it is tried again after a while."""
        return frozenset(self._stuck)

    async def work(self) -> None:
        """Begin what waits; once `leaving` is set, wait for what cannot be interrupted."""
        self._db.news.append(self._hear)
        try:
            while not self._leaving.is_set():
                await self._sweep()
                await self._news()
        finally:
            self._leaving.set()
            self._ring()
            self._db.news.remove(self._hear)
            if self._tasks:
                await asyncio.wait(list(self._tasks.values()))

    def _hear(self, kinds: Collection[str]) -> None:
        if not _HEARD.isdisjoint(kinds):
            self._ring()

    def _ring(self) -> None:
        bell, self._bell = self._bell, asyncio.Event()
        bell.set()

    async def _news(self, longest_s: float = _POLL_S) -> None:
        """Wait until something may have changed."""
        bell = self._bell
        await asyncio.sleep(_PAUSE_S)
        if not self._leaving.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(bell.wait(), longest_s)

    async def _sweep(self) -> None:
        patience = time.monotonic() - _PATIENCE_S
        self._stuck = {one: since for one, since in self._stuck.items() if since > patience}
        free = self._at_once - len(self._tasks)
        if free <= 0:
            return
        async with self._db.read() as session:
            waiting = await instructions.to_do(session, free, {*self._tasks, *self._stuck})
        for one in waiting:
            task = asyncio.create_task(self._see_through(one), name=f"instruction {one}")
            self._tasks[one] = task
            task.add_done_callback(lambda _done, one=one: self._over(one))

    def _over(self, instruction_id: str) -> None:
        self._tasks.pop(instruction_id, None)
        self._ring()

    async def _see_through(self, instruction_id: str) -> None:
        try:
            await self._doer.do(instruction_id)
        except Left:
            return
        except Exception:
            log.exception("instruction %s could not be kept in the books", instruction_id)
            self._stuck[instruction_id] = time.monotonic()
