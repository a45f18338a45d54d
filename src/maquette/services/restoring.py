"""Writing out what is missing: names that the database knows, and a root that its mirror has."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from uuid import uuid4

from maquette.core.errors import FileMissing, MaquetteError, ObjectNotFound, StorageDamaged
from maquette.core.requests import Digest
from maquette.core.storage import checked_key, object_key
from maquette.db import assets
from maquette.disk import explained
from maquette.folders import OWNER, PRIVATE
from maquette.jobs.workshop import Place
from maquette.net.bucket import BucketClient, Remote
from maquette.services import mirror, projects
from maquette.services.rootfiles import OBJECTS
from maquette.services.studio import Studio

_STORED = (OBJECTS, f"{PRIVATE}/replies/")


@dataclass(frozen=True)
class Pulled:
    """What became of one name that was missing."""

    path: str
    act: Literal["written", "failed"]
    size_bytes: int
    error: str | None = None


async def pull(
    studio: Studio, slug: str, root: Path, *, from_s3: bool = False, dry_run: bool = False
) -> list[Pulled]:
    """Write out every file that is missing; nothing that is there is touched.

    With `from_s3` first what the mirror has, stored pictures and all; then what the store has.
    """
    place = studio.shop.place(root)
    project = await projects.find(studio, slug)
    client: BucketClient | None = None
    if from_s3:
        client = await mirror.open_mirror(studio, project)
        await mirror.check_mine(client, project)
    if dry_run:
        await asyncio.to_thread(place.folders.check_owner, project.id, slug)
    else:
        await projects.at_root(studio, slug, place)
    work = _Pull(studio, place, dry_run)
    if client is not None:
        await work.from_mirror(client)
    await work.from_store(project.id)
    return sorted(work.pulled, key=lambda one: one.path)


@dataclass
class _Pull:
    """One pull on its way."""

    studio: Studio
    place: Place
    dry_run: bool
    pulled: list[Pulled] = field(default_factory=list[Pulled])

    async def from_mirror(self, client: BucketClient) -> None:
        """Bring back what the mirror has and this root has not."""
        there = [one async for one in client.walk() if one.key != OWNER]
        # The stored pictures first: the names that show them may be links to them.
        for stored in (True, False):
            part = [one for one in there if one.key.startswith(_STORED) is stored]
            await mirror.each(part, lambda one: self._restore(client, one))

    async def from_store(self, project_id: str) -> None:
        """Show again every picture whose name the database knows and the root has not."""
        async with self.studio.shop.db.read() as session:
            files = await assets.files(session, project_id)
            rows = [(file.path, asset.digest) for file, asset in files]
            sizes = {one.digest: one.size_bytes for one in await assets.blobs(session, project_id)}
        here = {one.path for one in self.pulled if one.act == "written"}
        missing = [one for one in rows if one[0] not in here and self._is_missing(one[0])]

        async def show(row: tuple[str, str]) -> None:
            path, digest = row
            await self._do(path, sizes.get(digest, 0), lambda: self._show(path, Digest(digest)))

        await mirror.each(missing, show)

    async def _restore(self, client: BucketClient, one: Remote) -> None:
        try:
            lacks = await self._lacks(one)
        except MaquetteError as error:  # a name that leads out of the root
            self.pulled.append(Pulled(one.key, "failed", one.size_bytes, str(error)))
            return
        if lacks:
            await self._do(one.key, one.size_bytes, lambda: self._fetch(client, one))

    async def _lacks(self, one: Remote) -> bool:
        """Say whether the root lacks it; a stored picture that was cut short counts as lacking."""
        if not one.key.startswith(_STORED):
            if one.key.startswith(f"{PRIVATE}/"):
                return False
            return self._is_missing(one.key)
        try:
            found = await self.place.storage.head(checked_key(one.key.removeprefix(f"{PRIVATE}/")))
        except ObjectNotFound:
            return True
        return found.size_bytes != one.size_bytes

    def _is_missing(self, path: str) -> bool:
        return not os.path.lexists(self.place.folders.inside(path))

    async def _do(self, path: str, size_bytes: int, work: Callable[[], Awaitable[None]]) -> None:
        """Write one file; its failure is noted and stops no other."""
        try:
            if not self.dry_run:
                await work()
        except MaquetteError as error:
            self.pulled.append(Pulled(path, "failed", size_bytes, str(error)))
        else:
            self.pulled.append(Pulled(path, "written", size_bytes))

    async def _show(self, path: str, digest: Digest) -> None:
        key = object_key(digest)
        source = self.place.storage.local_path(key)
        if source is None:
            await self._place(await self.place.storage.read(key), path)
        elif source.exists():
            await self._place(source, path)
        else:
            raise FileMissing(
                f"The store has not the picture of {path!r} either; `--from-s3`, or a backup, may "
                "have it."
            )

    async def _fetch(self, client: BucketClient, one: Remote) -> None:
        """Bring one object here by way of the scratch folder, checked by its digest."""
        scratch = self.place.folders.scratch / f"{uuid4().hex}.tmp"
        wanted = (await client.head(one.key)).marks.get(mirror.DIGEST)
        if one.key.startswith(OBJECTS):
            wanted = one.key.rpartition("/")[2]
        try:
            found = await _download(client, one.key, scratch)
            if wanted not in (None, found):
                raise StorageDamaged(
                    f"{one.key!r} in {client.where.place} is damaged: its bytes are not those that "
                    "were sent. It was not written."
                )
            if one.key.startswith(_STORED):
                key = checked_key(one.key.removeprefix(f"{PRIVATE}/"))
                await self.place.storage.put_file(key, scratch)
            else:
                await self._place(scratch, one.key)
        finally:
            await asyncio.to_thread(scratch.unlink, missing_ok=True)

    async def _place(self, source: Path | bytes, path: str) -> None:
        now = self.studio.shop.clock.now()
        await asyncio.to_thread(
            self.place.folders.place, source, path, archive_replaced=True, at=now
        )


async def _download(client: BucketClient, key: str, path: Path) -> str:
    """Write an object to a file, durably; return its SHA-256."""
    digest = hashlib.sha256()
    with explained(path), path.open("xb") as file:
        async with aclosing(client.stream(key)) as pieces:
            async for piece in pieces:
                digest.update(piece)
                await asyncio.to_thread(file.write, piece)
        await asyncio.to_thread(file.flush)
        await asyncio.to_thread(os.fsync, file.fileno())
    return digest.hexdigest()
