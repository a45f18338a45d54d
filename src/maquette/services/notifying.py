"""Telling addresses what happened: at least once, and never in the way.

A project's hears of its runs' ends, the installation's of caps that fill up. Whoever dies between
telling and noting it tells again: a receiver knows a message by its `run`, or its `alert`.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from maquette import net
from maquette.core import correlation, money, notice
from maquette.core.errors import MaquetteError, ProviderRefused, ProviderUnavailable
from maquette.core.wire import WireRules
from maquette.db import alerts, notices
from maquette.db.tables import CapAlert, Project, Run
from maquette.services import caps
from maquette.services.studio import Studio

_TRIES = 3
_WAIT_S = 10.0
_LOOK_S = 0.5
_AT_ONCE = 16
_MOST_BYTES = 64 * 1024
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Message:
    url: str
    said: dict[str, str | int]
    about: str
    """For the log."""
    rules: WireRules
    correlation_id: str | None = None


async def keep(studio: Studio, leaving: asyncio.Event) -> None:
    """Tell of every run that ends, and of every cap that fills up, until `leaving` is set."""
    while not leaving.is_set():
        await tell_due(studio, leaving)
        with suppress(TimeoutError):
            await asyncio.wait_for(leaving.wait(), _LOOK_S)


async def tell_due(studio: Studio, leaving: asyncio.Event | None = None) -> None:
    """Tell of all that happened since; what fails three times is logged and let go."""
    async with studio.shop.db.read() as session:
        runs = await notices.due(session, _AT_ONCE)
        full = await alerts.due(session, _AT_ONCE)
    leaving = leaving or asyncio.Event()
    telling = {f"the end of run {one}": _tell_end(studio, one, leaving) for one in runs}
    telling |= {f"alert {one.id}": _tell_alert(studio, one, leaving) for one in full}
    ends = await asyncio.gather(*telling.values(), return_exceptions=True)
    for about, end in zip(telling, ends, strict=True):
        if isinstance(end, Exception):  # the others are told; this one is due again
            log.error("%s could not be told", about, exc_info=end)


async def _tell_end(studio: Studio, run_id: str, leaving: asyncio.Event) -> None:
    message = await _end_of(studio, run_id)
    if message is not None and not await _sent(studio, message, leaving):
        return  # it is being left: whoever comes next tells it
    async with studio.shop.db.write() as session:
        await notices.told(session, run_id)


async def _tell_alert(studio: Studio, alert: CapAlert, leaving: asyncio.Event) -> None:
    if studio.alert_url is not None:
        async with studio.shop.db.read() as session:
            scope = await caps.names_of(session, alert.cap_key)
        said: dict[str, str | int] = {
            "kind": "cap_alert",
            "alert": alert.id,
            "cap": scope,
            "day": alert.period,
            "percent": alert.percent,
            "limit_usd": str(money.from_nano(alert.limit_nano)),
            "used_usd": str(money.from_nano(alert.used_nano)),
            "at": alert.at.isoformat(),
        }
        url = studio.alert_url.get_secret_value()
        message = _Message(url, said, f"{alert.percent} % of the cap {scope}", studio.wire)
        if not await _sent(studio, message, leaving):
            return
    async with studio.shop.db.write() as session:
        await alerts.told(session, alert.id, studio.shop.clock.now())


async def _end_of(studio: Studio, run_id: str) -> _Message | None:
    """Return what is to be said and where; None where nobody wants to know any more."""
    async with studio.shop.db.read() as session:
        run = await session.get(Run, run_id)
        project = None if run is None else await session.get(Project, run.project_id)
        spent = await notices.spent_nano(session, run_id)
    if run is None or project is None or project.notify_url is None:
        return None
    said: dict[str, str | int] = {
        "project": project.slug,
        "run": run.id,
        "state": run.state,
        "spent_usd": str(money.from_nano(spent)),
        "url": f"/api/projects/{project.slug}/runs/{run.id}",
    }
    about = f"run {run.id}"
    return _Message(project.notify_url, said, about, studio.guest_wire, run.correlation_id)


async def _sent(studio: Studio, message: _Message, leaving: asyncio.Event) -> bool:
    """Try three times; False where there was no time to."""
    for tried in range(1, _TRIES + 1):
        try:
            await _post(message)
        except MaquetteError as error:
            log.warning(
                "%s was not told of %s (try %d of %d): %s",
                notice.shown(message.url),
                message.about,
                tried,
                _TRIES,
                error,
            )
        except Exception as error:  # noqa: BLE001 - no address may stop whoever works
            log.error(  # noqa: TRY400 - its words may hold the address
                "%s cannot be told of %s: %s",
                notice.shown(message.url),
                message.about,
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


async def _post(message: _Message) -> None:
    host = urlsplit(message.url).netloc
    correlation.current.set(message.correlation_id)
    rules = replace(message.rules, most_bytes=_MOST_BYTES)
    async with net.client(rules, wait_s=_WAIT_S) as client:
        with net.sending(host, paid=False):
            reply = await client.post(message.url, json=message.said)
    if reply.status_code >= 500:
        raise ProviderUnavailable(f"{host!r} failed ({reply.status_code}).")
    if not reply.is_success:
        raise ProviderRefused(f"{host!r} did not take it ({reply.status_code}).")
