"""The stream of events: read once for the whole process, told to everybody who follows.

Events may be written by any process that shares the database; ids grow in the order of the
commits, so a follower that asks for what came after an id misses nothing and gets nothing twice.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection
from contextlib import aclosing, suppress
from dataclasses import dataclass
from itertools import takewhile

from maquette.db import events
from maquette.db.engine import Database
from maquette.db.tables import Event

_POLL_S, _ALONE_S = 0.1, 1.0
"""How soon an event of another process is noticed, with and without followers."""
_SILENCE_S = 15
_KEPT = 4096
_PAGE = 500
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Wanted:
    """Which events a follower may see and wants to."""

    projects: frozenset[str] | None = None
    """Ids; None: all."""
    run_id: str | None = None
    job_id: str | None = None

    def covers(self, event: Event) -> bool:
        if self.projects is not None and event.project_id not in self.projects:
            return False
        if self.run_id is not None and event.run_id != self.run_id:
            return False
        return self.job_id is None or event.job_id == self.job_id


class Feed:
    """Follows the events table while anybody listens."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._kept: deque[Event] = deque(maxlen=_KEPT)
        self._last = 0
        self._since = 0
        """Everything after this id is in `_kept`."""
        self._news = asyncio.Event()
        self._poke = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._ended = False
        self._followers = 0

    async def open(self) -> None:
        async with self._db.read() as session:
            self._last = self._since = await events.last_id(session)
        self._db.news.append(self._poked)
        self._task = asyncio.create_task(self._follow(), name="feed")

    @property
    def alive(self) -> bool:
        """Whether events are told: somebody reads them."""
        return self._task is not None and not self._task.done()

    def end(self) -> None:
        """Let all followers go."""
        self._ended = True
        self._ring()

    async def close(self) -> None:
        self.end()
        self._db.news.remove(self._poked)
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    def _poked(self, _kinds: Collection[str]) -> None:
        self._poke.set()

    async def _follow(self) -> None:
        while True:
            with suppress(TimeoutError):
                wait_s = _POLL_S if self._followers else _ALONE_S
                await asyncio.wait_for(self._poke.wait(), wait_s)
            self._poke.clear()
            try:
                await self._read()
            except Exception:  # whatever it is, followers wait for the next try
                log.exception("the events could not be read; trying again")
                await asyncio.sleep(1)

    async def _read(self) -> None:
        while True:
            async with self._db.read() as session:
                news = await events.after_id(session, self._last, _PAGE)
            for event in news:
                if len(self._kept) == _KEPT:
                    self._since = self._kept[0].id
                self._kept.append(event)
                self._last = event.id
            if news:
                self._ring()
            if len(news) < _PAGE:
                return

    def _ring(self) -> None:
        """Wake everybody who waits; those who come later wait for the next bell."""
        bell, self._news = self._news, asyncio.Event()
        bell.set()

    @property
    def last(self) -> int:
        return self._last

    async def after(
        self, last_id: int, sight: Callable[[], Awaitable[Wanted]]
    ) -> AsyncGenerator[list[Event]]:
        """Tell the events after `last_id` that `sight` covers, then more as they happen.

        Those that come together are told together; nothing at all, when a while passed in silence:
        the follower then shows that it is still there.
        """
        self._followers += 1
        self._poke.set()
        try:
            async with aclosing(self._told(last_id, sight)) as told:
                async for news in told:
                    yield news
        finally:
            self._followers -= 1

    async def _told(
        self, last_id: int, sight: Callable[[], Awaitable[Wanted]]
    ) -> AsyncGenerator[list[Event]]:
        while not self._ended:
            bell = self._news
            missed = await self._missed(last_id)
            if missed:
                last_id = missed[-1].id
                wanted = await sight()
                seen = [event for event in missed if wanted.covers(event)]
                if seen:
                    yield seen
            elif self._last <= last_id:
                try:
                    await asyncio.wait_for(bell.wait(), _SILENCE_S)
                except TimeoutError:
                    yield []

    async def _missed(self, last_id: int) -> list[Event]:
        if last_id >= self._since:
            newest_first = takewhile(lambda event: event.id > last_id, reversed(self._kept))
            return list(newest_first)[::-1]
        async with self._db.read() as session:
            return list(await events.after_id(session, last_id, _PAGE))
