"""The trash: hiding assets, showing them again, and purging what has lain there long enough.

Folders are left alone: what a person sees there is theirs. Rows go before bytes: what the store
then holds without a row, `gc` finds.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncSession

from maquette.core.errors import AssetNotFound, WrongState
from maquette.db import events, library, trash
from maquette.db.tables import Asset
from maquette.services.studio import Studio

_BATCH = 200
log = logging.getLogger(__name__)


async def put(studio: Studio, project_id: str, asset_id: str) -> None:
    """Hide an asset everywhere; its bytes, its files and its history stay."""
    async with studio.shop.db.write() as session:
        asset = await trash.held(session, project_id, asset_id)
        if asset.deleted_at is None:
            asset.deleted_at = studio.shop.clock.now()
            _record(studio, session, "asset_trashed", asset)


async def restore(studio: Studio, project_id: str, asset_id: str) -> None:
    """Take an asset out of the trash."""
    async with studio.shop.db.write() as session:
        asset = await trash.held(session, project_id, asset_id)
        if asset.deleted_at is not None:
            asset.deleted_at = None
            _record(studio, session, "asset_restored", asset)


async def purge(studio: Studio, project_id: str, asset_id: str) -> None:
    """Take an asset away for good; it must lie in the trash and nothing may need it."""
    async with studio.shop.db.write() as session:
        asset = await trash.held(session, project_id, asset_id)
        if asset.deleted_at is None:
            raise WrongState(
                f"The asset {asset_id} is not in the trash, so nothing was deleted. Put it there "
                "first."
            )
        child = await trash.child_of(session, asset_id)
        if child is not None:
            raise WrongState(
                f"The asset {child} was made from {asset_id}, whose history would have a hole. "
                "It stays in the trash, hidden; purge what was made from it first."
            )
        run = await trash.run_that_needs(session, asset)
        if run is not None:
            raise WrongState(
                f"The run {run} still needs the asset {asset_id}. Wait until it has ended; where "
                "the outcome of a call is unknown, decide with `maquette spend decide`."
            )
        await trash.purge(session, asset)
        _record(studio, session, "asset_purged", asset)


@dataclass(frozen=True)
class Purged:
    """What became of one asset of the trash."""

    asset: str
    kept_because: str | None = None


async def empty(studio: Studio, project_id: str, *, dry_run: bool) -> list[Purged]:
    """Purge all that lies in a project's trash, children before what they were made from."""
    wanted = library.Filters(project_id, trashed=True)
    found: list[str] = []
    after: library.Place | None = None
    while True:
        async with studio.shop.db.read() as session:
            lines = await library.page(session, wanted, None, _BATCH, after)
        if not lines:
            break
        found += [one.id for one in lines]
        last = lines[-1]
        after = (last.trashed_at or last.created_at, last.id)
    if dry_run:
        return [Purged(one) for one in found]
    return await _purge_all(studio, [(project_id, one) for one in found])


async def _purge_all(studio: Studio, wanted: Sequence[tuple[str, str]]) -> list[Purged]:
    """Purge what can be, until a whole round changes nothing."""
    done: list[Purged] = []
    rest = list(wanted)
    while rest:
        kept: list[tuple[tuple[str, str], Purged]] = []
        for project_id, asset_id in rest:
            try:
                await purge(studio, project_id, asset_id)
            except WrongState as error:
                kept.append(((project_id, asset_id), Purged(asset_id, str(error))))
            except AssetNotFound:  # somebody else was quicker
                pass
            else:
                done.append(Purged(asset_id))
        if len(kept) == len(rest):
            return done + [purged for _, purged in kept]
        rest = [pair for pair, _ in kept]
    return done


async def sweep(studio: Studio, keep_days: int) -> int:
    """Purge what has lain in any project's trash for longer; return how much that was.

    What something was made from, or a run needs, stays and is looked at again the next time.
    """
    before = studio.shop.clock.now() - timedelta(days=keep_days)
    purged = 0
    while True:
        gone = await _sweep_once(studio, before)
        purged += gone
        if not gone:
            break
    if purged:
        log.info("purged %d assets that had lain in the trash for %d days", purged, keep_days)
    return purged


async def _sweep_once(studio: Studio, before: datetime) -> int:
    """Go once through all that is old and was made into nothing; its parents may be next."""
    gone, last = 0, ""
    while True:
        async with studio.shop.db.read() as session:
            found = await trash.old(session, before, last, _BATCH)
        if not found:
            return gone
        done = await _purge_all(studio, found)
        gone += sum(one.kept_because is None for one in done)
        last = found[-1][1]


def _record(studio: Studio, session: AsyncSession, kind: str, asset: Asset) -> None:
    now = studio.shop.clock.now()
    events.record(session, kind, project_id=asset.project_id, at=now, asset=asset.id)
