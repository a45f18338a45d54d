"""What whoever holds the desk does from time to time, beside the work."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from maquette.db import idempotency
from maquette.services import forgetting, metering, resuming, trash
from maquette.services.studio import Studio

_LOOK_S = 1.0
_MINUTE_S = 60.0
_HOUR_S = 3600.0
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Chore:
    """Something that has to be done now and then; doing it too often is harmless."""

    name: str
    every_s: float
    do: Callable[[Studio], Awaitable[object]]


async def _forget_keys(studio: Studio) -> None:
    async with studio.shop.db.write() as session:
        await idempotency.expire(session, studio.shop.clock.now())


async def _empty_trash(studio: Studio) -> None:
    await trash.sweep(studio, studio.trash_days)


CHORES: tuple[Chore, ...] = (
    Chore("calls of words whose process died", _MINUTE_S, metering.put_in_order),
    Chore("expired idempotency keys", _HOUR_S, _forget_keys),
    Chore("uploads that nobody ended", _HOUR_S, resuming.sweep),
    Chore("pictures that were only borrowed", _HOUR_S, forgetting.sweep),
    Chore("what lay in the trash long enough", _HOUR_S, _empty_trash),
)


async def keep(studio: Studio, leaving: asyncio.Event, chores: Sequence[Chore] = CHORES) -> None:
    """Do each chore at once and then whenever its time comes, until `leaving` is set."""
    due = {chore.name: 0.0 for chore in chores}
    while not leaving.is_set():
        for chore in chores:
            if due[chore.name] <= time.monotonic() and not leaving.is_set():
                due[chore.name] = time.monotonic() + chore.every_s
                await _do(studio, chore)
        with suppress(TimeoutError):
            await asyncio.wait_for(leaving.wait(), _LOOK_S)


async def _do(studio: Studio, chore: Chore) -> None:
    """Let one that fails stop nothing: its time comes again."""
    try:
        await chore.do(studio)
    except Exception:
        log.exception("housekeeping: %s could not be done", chore.name)
