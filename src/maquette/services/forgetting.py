"""Pictures that were sent on the condition that they are not kept.

Rows go before bytes; a crash in between leaves bytes that nothing points to, which `gc` finds.
"""

from __future__ import annotations

import logging
from datetime import timedelta

from maquette.core.errors import MaquetteError, ObjectNotFound
from maquette.core.requests import Digest
from maquette.core.storage import Storage, object_key
from maquette.db import borrowed, events, portable, trash
from maquette.db.tables import Asset, Blob, Project
from maquette.services.studio import Studio

_LATEST = timedelta(hours=1)
"""After that what was sent for a request that was never begun is forgotten too."""
_BATCH = 200
log = logging.getLogger(__name__)


async def after(studio: Studio, run_id: str) -> None:
    """Forget what a run that has ended was lent; doing it again is harmless."""
    async with studio.shop.db.read() as session:
        lent = await borrowed.of_run(session, run_id)
    for asset_id in lent:
        await _forget(studio, asset_id)


async def sweep(studio: Studio) -> None:
    """Forget what was lent longer ago and is not needed any more."""
    before, last = studio.shop.clock.now() - _LATEST, ""
    while True:
        async with studio.shop.db.read() as session:
            found = await borrowed.due(session, before, _BATCH, last)
        if not found:
            return
        for asset_id in found:
            await _forget(studio, asset_id)
        last = found[-1]


async def _forget(studio: Studio, asset_id: str) -> None:
    """Purge one asset, unless a run whose end is open still needs it."""
    async with studio.shop.db.write() as session:
        asset = await session.get(Asset, asset_id)
        if asset is None:
            await borrowed.forget(session, asset_id)
            return
        asset = await trash.held(session, asset.project_id, asset_id)
        if await trash.run_that_needs(session, asset) is not None:
            return
        project = await session.get_one(Project, asset.project_id)
        digest, root = Digest(asset.digest), project.root
        await borrowed.cut_loose(session, asset)
        await trash.purge(session, asset)
        await borrowed.forget(session, asset_id)
        now = studio.shop.clock.now()
        events.record(session, "asset_purged", project_id=project.id, at=now, asset=asset_id)
    if root is None:
        return
    try:
        await _without_bytes(studio, studio.shop.place(root).storage, project.id, digest)
    except MaquetteError as error:  # the sweep of unneeded bytes finds them
        log.warning("the bytes of a forgotten picture could not be deleted: %s", error)


async def _without_bytes(studio: Studio, storage: Storage, project_id: str, digest: Digest) -> None:
    """Delete bytes that no row needs; put them back where one came to need them meanwhile."""
    if await _needed(studio, project_id, digest):
        return
    try:
        data = await storage.read(object_key(digest))
    except ObjectNotFound:
        return
    await storage.delete(object_key(digest))
    async for small in storage.walk(f"thumbnails/{digest[:2]}/{digest}."):
        await storage.delete(small.key)
    if await _needed(studio, project_id, digest):
        await storage.put(object_key(digest), data)


async def _needed(studio: Studio, project_id: str, digest: Digest) -> bool:
    async with studio.shop.db.read() as session:
        if await session.get(Blob, (project_id, digest)) is not None:
            return True
        return digest in await portable.digests(session, project_id)
