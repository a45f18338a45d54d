"""An archive becomes a project: checked whole, then bytes, then names, then rows in one commit.

Rows come last: a crash before leaves bytes that nothing refers to, and a root that the same
import takes over.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.ext.asyncio import AsyncSession

from maquette.core.errors import AlreadyExists, FileMissing, RequestTooLarge, StorageFull
from maquette.core.people import Caller, ProjectRole
from maquette.core.requests import Digest, digest_of
from maquette.core.storage import Key, object_key
from maquette.db import events, people, portable, projects, uploads
from maquette.disk import explained
from maquette.folders import RUNS, log_path, sheet_path
from maquette.jobs.workshop import Place
from maquette.services import arriving
from maquette.services import projects as project_service
from maquette.services.arrived import Arrived
from maquette.services.portable import Member, Unpacker, scratch, unpacked
from maquette.services.projects import ProjectFacts, check_slug
from maquette.services.settling import Home, new_ids, renamed, rows_for
from maquette.services.studio import Studio
from maquette.services.uploading import check_room

_SMALL_BYTES = 16 * 1024 * 1024
_MOST_ROWS_SENT = 50_000
"""Nobody else can write while rows are inserted: so many take a few seconds."""


@dataclass(frozen=True)
class Imported:
    """A project that was taken in."""

    project: ProjectFacts
    objects: int
    files: int
    """Names in its folders."""
    missing: int
    """Objects that were missing where it came from."""


async def import_archive(
    studio: Studio,
    path: Path,
    *,
    slug: str | None = None,
    root: Path | None = None,
    by: Caller | None = None,
    most_rows: int | None = None,
) -> Imported:
    """Take a project in; with `slug`, as a copy under that name with ids of its own."""
    path = path.expanduser().absolute()
    if not path.is_file():
        raise FileMissing(f"There is no archive {str(path)!r}; check the path.")
    if slug is not None:
        check_slug(slug)
    with scratch(studio.home) as folder:
        arrived = await asyncio.to_thread(arriving.read, path, folder)
        told = arrived.manifest.project
        rows = sum(arrived.manifest.tables.values())
        if most_rows is not None and rows > most_rows:
            raise RequestTooLarge(
                f"The archive has {rows} rows, and {most_rows} are taken in over HTTP, so nothing "
                f"was. {_WHERE_IT_RUNS}"
            )
        ids = {} if slug is None else new_ids(arrived, slug)
        place = studio.shop.place(root or studio.home / "projects" / (slug or told.slug))
        home = Home(
            project_id=ids.get(told.id, told.id),
            slug=slug or told.slug,
            root=str(place.folders.root),
            user_id=None if by is None else by.user_id,
            ids=ids,
        )
        await _rehearse(studio, arrived, home)
        await asyncio.to_thread(place.folders.prepare)
        _check_space(place, arrived)
        await asyncio.to_thread(place.folders.claim, home.project_id, home.slug)
        await _Bytes(studio, place, arrived, home).take_in(path)
        await _show(studio, place, arrived)
        async with studio.shop.db.write() as session:
            await _insert(session, arrived, home)
            now = studio.shop.clock.now()
            if by is not None:
                await people.join(session, home.project_id, by.user_id, ProjectRole.OWNER, now)
            events.record(session, "project_imported", project_id=home.project_id, at=now)
    facts = await project_service.show(studio, home.slug)
    told_of = arrived.manifest
    return Imported(facts, told_of.objects, len(arrived.shown), len(told_of.missing))


async def import_stream(
    studio: Studio,
    pieces: AsyncIterator[bytes],
    *,
    most_bytes: int,
    slug: str | None,
    by: Caller,
) -> Imported:
    """Take an archive in that comes piece by piece."""
    with scratch(studio.home) as folder:
        path = folder / "sent.tar.gz"
        size_bytes = 0
        with explained(path), path.open("xb") as file:
            async for piece in pieces:
                size_bytes += len(piece)
                if size_bytes > most_bytes:
                    raise RequestTooLarge(
                        f"The archive is larger than {most_bytes // 1024**2} MB, so it was not "
                        f"taken in. {_WHERE_IT_RUNS}"
                    )
                await asyncio.to_thread(file.write, piece)
        return await import_archive(studio, path, slug=slug, by=by, most_rows=_MOST_ROWS_SENT)


_WHERE_IT_RUNS = "Import it where the server runs: `maquette project import`."


async def _rehearse(studio: Studio, arrived: Arrived, home: Home) -> None:
    """Insert every row and take it back: what the database refuses, it refuses before any byte."""
    async with studio.shop.db.write() as session:
        await _insert(session, arrived, home)
        await session.rollback()


async def _insert(session: AsyncSession, arrived: Arrived, home: Home) -> None:
    known = {one.slug: one.id for one in await projects.everyone(session)}
    if home.slug in known:
        raise AlreadyExists(
            f"There is a project {home.slug!r} already; `--as NEW_NAME` imports a copy beside it."
        )
    for carried in portable.CARRIED:
        ids = [home.ids.get(one, one) for one in arrived.ids.get(carried.name, [])]
        if ids and await portable.taken(session, carried, ids):
            raise AlreadyExists(
                f"Some {carried.name} of the archive are in this installation already, under "
                "another project; `--as NEW_NAME` imports a copy with ids of its own."
            )
        await portable.insert_all(session, carried, rows_for(arrived, carried, home))
    if home.user_id is not None:
        await _check_quota(session, home.project_id, home.user_id)


async def _check_quota(session: AsyncSession, project_id: str, user_id: str) -> None:
    """What came counts as what the person who imports it uploaded; the project's quota came too."""
    left = (await uploads.room(session, project_id, user_id, lock=True)).person
    if left is not None:
        came = await uploads.arrived(session, project_id, user_id)
        check_room(uploads.Room(project=None, person=left + came), 0, came)


def _check_space(place: Place, arrived: Arrived) -> None:
    needed = arrived.manifest.object_bytes + arrived.manifest.file_bytes
    if place.folders.free_bytes() < needed:
        raise StorageFull(
            f"The project needs {needed // 10**6 + 1} MB below {str(place.folders.root)!r}, and "
            "the disk has less. Free some space, or give another root."
        )


class _Bytes:
    """The second pass: objects into the store, logs and other files into the folders."""

    def __init__(self, studio: Studio, place: Place, arrived: Arrived, home: Home) -> None:
        self._studio = studio
        self._place = place
        self._arrived = arrived
        self._home = home

    async def take_in(self, path: Path) -> None:
        with unpacked(path) as unpacker:
            members = unpacker.members()
            while True:
                member = await asyncio.to_thread(_next, members)
                if member is None:
                    return
                first = member.name.partition("/")[0]
                if first == "objects":
                    await self._object(unpacker, member)
                elif first == "runs":
                    data = await asyncio.to_thread(unpacker.all, member.size_bytes)
                    await asyncio.to_thread(self._run, member.name, data)
                elif first == "files":
                    await asyncio.to_thread(self._file, unpacker, member)

    async def _object(self, unpacker: Unpacker, member: Member) -> None:
        name, key = member.name.rpartition("/")[2], Key(member.name)
        if member.size_bytes <= _SMALL_BYTES:
            data = await asyncio.to_thread(unpacker.all, _SMALL_BYTES)
            _check(unpacker, name, digest_of(data))
            await self._place.storage.put(key, data)
            return
        spilt = self._arrived.folder / "object"
        found = await asyncio.to_thread(_spill, unpacker, spilt)
        _check(unpacker, name, found)
        await self._place.storage.put_file(key, spilt)
        await asyncio.to_thread(spilt.unlink)

    def _run(self, name: str, data: bytes) -> None:
        """Write a run's log or sheet under the run's name here."""
        is_log = name.endswith(".json")
        old = name.removeprefix(f"{RUNS}/").removesuffix(".json" if is_log else _SHEET)
        new = self._home.ids.get(old, old)
        if is_log and self._home.ids:
            log = renamed(json.loads(data), self._home.ids) | {"project": self._home.slug}
            data = json.dumps(log, indent=2, ensure_ascii=False).encode() + b"\n"
        if is_log:
            self._home.logs[old] = digest_of(data)
        self._place.folders.write(log_path(new) if is_log else sheet_path(new), data)

    def _file(self, unpacker: Unpacker, member: Member) -> None:
        spilt = self._arrived.folder / "file"
        _spill(unpacker, spilt)
        self._place.folders.place(
            spilt,
            self._arrived.others[member.name],
            archive_replaced=True,
            at=self._studio.shop.clock.now(),
        )
        spilt.unlink()


_SHEET = sheet_path("").removeprefix(f"{RUNS}/")


def _next(members: Iterator[Member]) -> Member | None:
    return next(members, None)


def _spill(unpacker: Unpacker, path: Path) -> str:
    found = hashlib.sha256()
    with path.open("wb") as file:
        for piece in unpacker.pieces():
            found.update(piece)
            file.write(piece)
    return found.hexdigest()


def _check(unpacker: Unpacker, name: str, found: str) -> None:
    if name != found:  # somebody changed the archive since it was checked
        raise unpacker.damaged("it changed while it was read")


async def _show(studio: Studio, place: Place, arrived: Arrived) -> None:
    """Show the pictures under their names; what stands there of others is archived first."""
    missing = set(arrived.manifest.missing)
    for name, digest in arrived.shown.items():
        if digest in missing:
            continue
        key = object_key(Digest(digest))
        source = place.storage.local_path(key) or await place.storage.read(key)
        await asyncio.to_thread(
            place.folders.place,
            source,
            name,
            archive_replaced=True,
            at=studio.shop.clock.now(),
        )
