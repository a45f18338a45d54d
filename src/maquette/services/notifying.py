"""Telling a project's address that a run has ended: at least once, and never in the way."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from maquette import net
from maquette.core import correlation, money, notice
from maquette.core.errors import MaquetteError, ProviderRefused, ProviderUnavailable
from maquette.db import notices
from maquette.db.tables import Project, Run
from maquette.services.studio import Studio

_TRIES = 3
_WAIT_S = 10.0
_LOOK_S = 0.5
_AT_ONCE = 16
_MOST_BYTES = 64 * 1024
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _End:
    url: str
    said: dict[str, str]
    correlation_id: str | None


async def keep(studio: Studio, leaving: asyncio.Event) -> None:
    """Tell of every run that ends until `leaving` is set."""
    while not leaving.is_set():
        await tell_due(studio, leaving)
        with suppress(TimeoutError):
            await asyncio.wait_for(leaving.wait(), _LOOK_S)


async def tell_due(studio: Studio, leaving: asyncio.Event | None = None) -> None:
    """Tell of all runs that have ended since; what fails three times is logged and let go."""
    async with studio.shop.db.read() as session:
        waiting = await notices.due(session, _AT_ONCE)
    if waiting:
        leaving = leaving or asyncio.Event()
        telling = (_tell(studio, run_id, leaving) for run_id in waiting)
        ends = await asyncio.gather(*telling, return_exceptions=True)
        for run_id, end in zip(waiting, ends, strict=True):
            if isinstance(end, Exception):  # the others are told; this one is due again
                log.error("the end of run %s could not be told", run_id, exc_info=end)


async def _tell(studio: Studio, run_id: str, leaving: asyncio.Event) -> None:
    end = await _end_of(studio, run_id)
    if end is not None and not await _sent(studio, end, leaving):
        return  # it is being left: whoever comes next tells it
    async with studio.shop.db.write() as session:
        await notices.told(session, run_id)


async def _end_of(studio: Studio, run_id: str) -> _End | None:
    """Return what is to be said and where; None where nobody wants to know any more."""
    async with studio.shop.db.read() as session:
        run = await session.get(Run, run_id)
        project = None if run is None else await session.get(Project, run.project_id)
        spent = await notices.spent_nano(session, run_id)
    if run is None or project is None or project.notify_url is None:
        return None
    said = {
        "project": project.slug,
        "run": run.id,
        "state": run.state,
        "spent_usd": str(money.from_nano(spent)),
        "url": f"/api/projects/{project.slug}/runs/{run.id}",
    }
    return _End(project.notify_url, said, run.correlation_id)


async def _sent(studio: Studio, end: _End, leaving: asyncio.Event) -> bool:
    """Try three times; False where there was no time to."""
    for tried in range(1, _TRIES + 1):
        try:
            await _post(studio, end)
        except MaquetteError as error:
            log.warning(
                "%s was not told of run %s (try %d of %d): %s",
                notice.shown(end.url),
                end.said["run"],
                tried,
                _TRIES,
                error,
            )
        except Exception as error:  # noqa: BLE001 - no address may stop whoever works
            log.error(  # noqa: TRY400 - its words may hold the address
                "%s cannot be told of run %s: %s",
                notice.shown(end.url),
                end.said["run"],
                type(error).__name__,
            )
            return True
        else:
            return True
        if tried < _TRIES:
            with suppress(TimeoutError):
                await asyncio.wait_for(leaving.wait(), studio.shop.retries.wait_s(tried, None))
            if leaving.is_set():
                return False
    return True


async def _post(studio: Studio, end: _End) -> None:
    host = urlsplit(end.url).netloc
    correlation.current.set(end.correlation_id)
    rules = replace(studio.guest_wire, most_bytes=_MOST_BYTES)
    async with net.client(rules, wait_s=_WAIT_S) as client:
        with net.sending(host, paid=False):
            reply = await client.post(end.url, json=end.said)
    if reply.status_code >= 500:
        raise ProviderUnavailable(f"{host!r} failed ({reply.status_code}).")
    if not reply.is_success:
        raise ProviderRefused(f"{host!r} did not take it ({reply.status_code}).")
