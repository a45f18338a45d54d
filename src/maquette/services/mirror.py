"""The mirror: a project's root as objects of a bucket, under the same names.

What is in the bucket: everything below the root, and of `.maquette/` the stored pictures, the
replies and the root's owner. Each object carries two marks: its SHA-256, and whose mirror wrote it.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, TypeVar

from maquette.core.errors import (
    BadParameter,
    Conflict,
    FileMissing,
    MaquetteError,
    ObjectNotFound,
    StorageUnavailable,
)
from maquette.core.requests import Digest
from maquette.core.storage import object_key
from maquette.db import events
from maquette.db.tables import Project
from maquette.folders import OWNER, PRIVATE, Folders
from maquette.net.bucket import BucketClient, Remote
from maquette.services import places, projects
from maquette.services.rootfiles import (
    OBJECTS,
    Fingerprint,
    RootFile,
    files_of,
    fingerprint,
    state_of,
)
from maquette.services.studio import Studio

PARALLEL = 6
"""Files on their way at a time."""
DIGEST, MARK = "sha256", "maquette-mirror"
_TRIES = 3
_GIVE_UP = 20
"""So many files fail with none that works: the rest is left for the next time."""

T = TypeVar("T")
Act = Literal["uploaded", "copied", "deleted", "failed"]


@dataclass(frozen=True)
class Item:
    """What was done, or would be, with one name."""

    path: str
    act: Act
    size_bytes: int
    error: str | None = None


@dataclass
class Synced:
    """What a sync did, or would do."""

    mirror: str
    dry_run: bool
    items: list[Item] = field(default_factory=list[Item])
    skipped: int = 0
    """Names that were there already, with the same bytes."""
    left: int = 0
    """Names that were not tried any more."""
    bytes_sent: int = 0

    def count(self, *acts: Act) -> int:
        return sum(item.act in acts for item in self.items)

    @property
    def failed(self) -> int:
        return self.count("failed")

    @property
    def complete(self) -> bool:
        return self.failed == 0 and self.left == 0

    def sentence(self) -> str:
        """Say it in one line."""
        verb = "would be" if self.dry_run else "were"
        copied = self.count("copied")
        words = (
            f"{self.mirror}: {self.count('uploaded')} {verb} uploaded ({self.bytes_sent} bytes), "
            f"{copied} copied there, {self.skipped} the same, {self.count('deleted')} deleted"
        )
        left = self.failed + self.left
        return words + (f"; {left} FAILED, sync again" if left else "") + "."

    def document(self) -> dict[str, object]:
        return {
            "mirror": self.mirror,
            "dry_run": self.dry_run,
            "uploaded": self.count("uploaded"),
            "copied": self.count("copied"),
            "skipped": self.skipped,
            "deleted": self.count("deleted"),
            "failed": self.failed,
            "left": self.left,
            "bytes": self.bytes_sent,
            "items": self.items,
        }

    @property
    def hopeless(self) -> bool:
        return self.failed >= _GIVE_UP and self.failed == len(self.items)


async def open_mirror(studio: Studio, project: Project) -> BucketClient:
    """Return the project's part of its mirror; raise `BadParameter` where it has none."""
    mirror = places.mirror_of(project)
    where = None if mirror is None else mirror.of(project.slug)
    if where is None:
        why = "has no S3 mirror" if mirror is None else "has its S3 mirror switched off"
        raise BadParameter(
            f"The project {project.slug!r} {why}. `maquette project storage set-s3 {project.slug} "
            "--bucket NAME` sets one."
        )
    keys = await studio.keys_of(project.id)
    return BucketClient(where, studio.wire, places.mirror_keys(keys))


async def check(studio: Studio, slug: str) -> None:
    """Raise where a sync could not begin: no mirror, no keys, no such bucket."""
    project = await projects.find(studio, slug)
    client = await open_mirror(studio, project)
    await check_mine(client, project)


async def check_mine(client: BucketClient, project: Project) -> None:
    """Raise `Conflict` where the mirror is that of another project."""
    await client.check()
    try:
        told = json.loads(await client.get(OWNER))
    except ObjectNotFound:
        return
    except ValueError:
        told = {}
    if not isinstance(told, dict) or told.get("project") != project.id:  # pyright: ignore[reportUnknownMemberType] - it is compared, no more
        raise Conflict(
            f"{client.where.place} is the mirror of another project, of this database or another. "
            f"Nothing was changed. Give {project.slug!r} a prefix of its own: `maquette project "
            f"storage set-s3 {project.slug} --bucket … --prefix …`."
        )


async def sync(
    studio: Studio, slug: str, root: Path, *, dry_run: bool = False, delete: bool = False
) -> Synced:
    """Send what differs; with `delete` remove what the mirror wrote and the root has no more.

    Doing it again is safe at any point: it goes on where the one before ended.
    """
    project = await projects.find(studio, slug)
    client = await open_mirror(studio, project)
    folders = studio.shop.place(root).folders
    await asyncio.to_thread(_check_root, folders, project)
    await check_mine(client, project)
    there = {one.key: one async for one in client.walk()}
    here = await asyncio.to_thread(lambda: list(files_of(folders)))
    work = _Sync(client, there, Synced(client.where.place, dry_run), project.id)
    # Whose mirror it is comes first, then the pictures, of which the names are copies.
    for part in (
        [one for one in here if one.path == OWNER],
        [one for one in here if one.path.startswith(OBJECTS)],
        [one for one in here if one.path != OWNER and not one.path.startswith(OBJECTS)],
    ):
        await each(part, work.bring)
    if delete and work.told.complete:
        gone = sorted(there.keys() - {one.path for one in here})
        await each(gone, work.remove)
    work.told.items.sort(key=lambda one: one.path)
    if not dry_run:
        await _note(studio, project, work.told)
    return work.told


def _check_root(folders: Folders, project: Project) -> None:
    """Refuse a root that is not there: what looks empty would empty the mirror."""
    if not folders.check_owner(project.id, project.slug):
        raise FileMissing(
            f"The root {str(folders.root)!r} is not there, or nothing was made in it yet, so "
            "nothing was synced. Where its disk is not mounted, mount it; where it is lost, "
            f"`maquette project pull {project.slug} --from-s3` brings it back."
        )


async def each(things: Sequence[T], work: Callable[[T], Awaitable[None]]) -> None:
    """Work on a few at a time."""
    waiting = iter(things)

    async def one_after_another() -> None:
        for thing in waiting:
            await work(thing)

    async with asyncio.TaskGroup() as group:
        for _ in range(min(PARALLEL, len(things))):
            group.create_task(one_after_another())


@dataclass
class _Sync:
    """One sync on its way."""

    client: BucketClient
    there: dict[str, Remote]
    told: Synced
    project_id: str

    async def bring(self, file: RootFile) -> None:
        """Send one file where it differs; its failure is noted and stops no other."""
        if self.told.hopeless:
            self.told.left += 1
            return
        try:
            act = await self._brought(file)
        except MaquetteError as error:
            if file.at.exists():  # else somebody took it away meanwhile
                self._note(file.path, "failed", file.size_bytes, str(error))
        else:
            if act is None:
                self.told.skipped += 1
            else:
                self._note(file.path, act, file.size_bytes)

    async def remove(self, key: str) -> None:
        """Delete one object if this mirror wrote it."""
        size_bytes = self.there[key].size_bytes
        try:
            marks = (await self.client.head(key)).marks
            if marks.get(MARK) != self.project_id:
                return
            if not self.told.dry_run:
                await self.client.delete(key)
        except ObjectNotFound:
            return
        except MaquetteError as error:
            self._note(key, "failed", size_bytes, str(error))
        else:
            self._note(key, "deleted", size_bytes)

    async def _brought(self, file: RootFile) -> Act | None:
        for _ in range(_TRIES):
            before = state_of(file.at)
            act = await self._tried(file)
            if act is None or self.told.dry_run or state_of(file.at) == before:
                return act
        raise StorageUnavailable(
            f"{file.path!r} changed again and again while it was sent. Sync again when it is done."
        )

    async def _tried(self, file: RootFile) -> Act | None:
        known = self.there.get(file.path)
        if known is not None and known.size_bytes == file.size_bytes:
            if file.path.startswith(OBJECTS):  # its name says what it holds
                return None
            seen = await asyncio.to_thread(fingerprint, file.at)
            if known.tag == seen.md5 or await self._is_marked(file.path, seen):
                return None
        else:
            seen = await asyncio.to_thread(fingerprint, file.at)
        stored = f"{PRIVATE}/{object_key(Digest(seen.sha256))}"
        if file.path.startswith(OBJECTS) and file.path != stored:
            raise StorageUnavailable(
                f"{file.path!r} is damaged: its bytes are not what its name says, so it was not "
                "sent. `maquette verify` tells what to do."
            )
        act: Act = "copied" if stored in self.there and stored != file.path else "uploaded"
        if self.told.dry_run:
            self._expect(file.path, file.size_bytes)
            return act
        if act == "copied":
            try:
                await self.client.copy(stored, file.path)
            except (StorageUnavailable, ObjectNotFound):  # a server that cannot, or too large
                act = "uploaded"
        if act == "uploaded":
            marks = {DIGEST: seen.sha256, MARK: self.project_id}
            await self.client.put(file.path, file.at, media_type=seen.media_type, marks=marks)
            self.told.bytes_sent += file.size_bytes
        self._expect(file.path, file.size_bytes)
        return act

    async def _is_marked(self, key: str, seen: Fingerprint) -> bool:
        """Compare by the mark: tags of objects that came in parts, or encrypted, are no MD5."""
        try:
            return (await self.client.head(key)).marks.get(DIGEST) == seen.sha256
        except ObjectNotFound:
            return False

    def _expect(self, key: str, size_bytes: int) -> None:
        """Note that it is there now, so that others can be copies of it."""
        self.there[key] = Remote(key, size_bytes, datetime.now(UTC), "")

    def _note(self, path: str, act: Act, size_bytes: int, error: str | None = None) -> None:
        shown = path.encode(errors="replace").decode()
        self.told.items.append(Item(shown, act, size_bytes, error))


async def _note(studio: Studio, project: Project, told: Synced) -> None:
    async with studio.shop.db.write() as session:
        events.record(
            session,
            "mirrored",
            project_id=project.id,
            at=studio.shop.clock.now(),
            uploaded=told.count("uploaded", "copied"),
            deleted=told.count("deleted"),
            skipped=told.skipped,
            failed=told.failed + told.left,
            bytes_sent=told.bytes_sent,
        )
