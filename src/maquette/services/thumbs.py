"""Thumbnails: made when one is asked for, once, and kept beside the picture."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Literal, get_args

from maquette.core.errors import ObjectNotFound
from maquette.core.requests import Digest
from maquette.core.storage import Key, Storage, Stored, thumbnail_key
from maquette.db.library import Bytes
from maquette.db.tables import Project
from maquette.imaging import thumbnails
from maquette.services import library
from maquette.services.studio import Studio

Side = Literal[256, 512, 1024]
Format = Literal["webp", "avif"]
SIDES: tuple[Side, ...] = get_args(Side)


class Thumbnails:
    """Makes each thumbnail once, however many ask for it at the same time."""

    def __init__(self, studio: Studio) -> None:
        self._studio = studio
        self._making: dict[tuple[str, Key], asyncio.Task[Stored]] = {}

    async def get(
        self, project: Project, of: Bytes, side: Side, kind: Format
    ) -> tuple[Storage, Stored]:
        """Return where a thumbnail lies, made first where it is missing."""
        key = thumbnail_key(Digest(of.digest), side, kind)
        storage, source = await library.located(self._studio, project, of.digest)
        with suppress(ObjectNotFound):
            return storage, await storage.head(key)
        flight = project.id, key
        task = self._making.get(flight)
        if task is None:
            work = self._make(storage, source.key, key, of.name, side, kind)
            task = asyncio.create_task(self._studio.errands.see_through(work))
            self._making[flight] = task
            task.add_done_callback(lambda _: self._making.pop(flight, None))
        # Shielded: the others who wait want it also where one of them goes away.
        return storage, await asyncio.shield(task)

    async def _make(
        self, storage: Storage, source: Key, key: Key, name: str, side: Side, kind: Format
    ) -> Stored:
        pool, path = self._studio.shop.pool, storage.local_path(source)
        if path is not None:
            data = await pool.run(thumbnails.from_file, path, side_px=side, format=kind)
        else:
            given = await storage.read(source)
            data = await pool.run(thumbnails.from_bytes, given, name, side_px=side, format=kind)
        return await storage.put(key, data)
