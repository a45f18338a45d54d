"""Pictures that people send: taken in as a stream, looked at, stored, and only then known."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Literal
from uuid import uuid4

from sqlalchemy.ext.asyncio import AsyncSession

from maquette.core.errors import QuotaExceeded, RequestTooLarge, UnsupportedImage
from maquette.core.people import Caller
from maquette.core.storage import object_key
from maquette.db import borrowed, events, uploads
from maquette.db.assets import NewAsset, NewBlob
from maquette.db.tables import Project
from maquette.imaging.files import SUFFIXES
from maquette.jobs.pixelwork import Facts, admit_file, strip_file
from maquette.jobs.workshop import Place
from maquette.services import projects as project_verbs
from maquette.services import staging
from maquette.services.inputs import clean_name
from maquette.services.staging import Staged
from maquette.services.studio import Studio

Kind = Literal["source", "reference"]


@dataclass(frozen=True)
class Wishes:
    """What a person says of the pictures that they send."""

    kind: Kind = "source"
    consent: str | None = None
    strip: bool = False
    tags: tuple[str, ...] = ()
    forget: bool = False
    """Their bytes go when the job that they were sent for has ended."""


@dataclass(frozen=True)
class Uploaded:
    """A picture that is an asset now."""

    id: str
    name: str
    kind: str
    media_type: str
    width_px: int
    height_px: int
    size_bytes: int
    sha256: str
    duplicate_of: str | None


@dataclass
class _File:
    """One picture on its way; `staged` are its own bytes, or those without its metadata."""

    name: str
    staged: Staged
    facts: Facts | None = None
    asset_id: str = field(default_factory=lambda: str(uuid4()))


class Intake:
    """Takes the files of one person into one project: all of them, or none."""

    def __init__(
        self, studio: Studio, place: Place, project: Project, caller: Caller, most_bytes: int
    ) -> None:
        self._studio = studio
        self._place = place
        self._project = project
        self._caller = caller
        self._most_bytes = most_bytes
        self._files: list[_File] = []
        self._held = ExitStack()

    @property
    def count(self) -> int:
        return len(self._files)

    def close(self) -> None:
        self._held.close()

    async def begin(self, name: str, part: str = "file") -> None:
        """Begin the next file, whichever part of a form it came in."""
        self._files.append(_File(name, await self._temporary()))

    async def _temporary(self) -> Staged:
        block = staging.temporary(self._place.folders.scratch)
        return await asyncio.to_thread(self._held.enter_context, block)

    async def write(self, data: bytes) -> None:
        """Write more of the file that was begun last."""
        staged = self._files[-1].staged
        if staged.size_bytes + len(data) > self._most_bytes:
            raise too_large(self._files[-1].name, self._most_bytes)
        await staged.write(data)

    def adopt(self, name: str, staged: Staged) -> None:
        """Take a file that is whole already; it stays whoever's it is."""
        self._files.append(_File(name, staged))

    async def end(self) -> None:
        """End a file: what the quotas have no room for need not be followed by more."""
        async with self._studio.shop.db.read() as session:
            await self._check_room(session)

    async def look(self, wishes: Wishes) -> list[Uploaded]:
        """Look at every file, and say what assets they would be; nothing is stored yet."""
        for one in self._files:
            if one.facts is None:
                await self._look(one, wishes)
        await self.end()
        return [
            _uploaded(self._new_asset(one, one.facts, wishes), None)
            for one in self._files
            if one.facts is not None
        ]

    async def finish(self, wishes: Wishes, upload_id: str | None = None) -> list[Uploaded]:
        """Look at every file, store their bytes, then make them assets in one commit."""
        await self.look(wishes)
        for one in self._files:
            await one.staged.sync()
            await self._place.storage.put_file(object_key(one.staged.digest), one.staged.path)
        async with self._studio.shop.db.write() as session:
            return await self._commit(session, wishes, upload_id)

    async def _look(self, one: _File, wishes: Wishes) -> None:
        """Decode a picture once in a worker process; by its content, whatever it is called."""
        if one.staged.size_bytes == 0:
            raise UnsupportedImage(f"{one.name!r} is empty; choose another file.")
        pool = self._studio.shop.pool
        await one.staged.sync()
        one.facts = await pool.run(admit_file, one.staged.path, one.name)
        if wishes.strip:
            bare = await self._temporary()
            await pool.run(strip_file, one.staged.path, bare.path, one.name)
            await bare.read_again()
            one.staged = bare

    async def _check_room(self, session: AsyncSession, *, lock: bool = False) -> None:
        room = await uploads.room(session, self._project.id, self._caller.user_id, lock=lock)
        if room.project is None and room.person is None:
            return
        project_bytes = person_bytes = 0
        for staged in {one.staged.digest: one.staged for one in self._files}.values():
            held, own, _ = await uploads.known(
                session, self._project.id, self._caller.user_id, staged.digest
            )
            project_bytes += 0 if held else staged.size_bytes
            person_bytes += 0 if own else staged.size_bytes
        check_room(room, project_bytes, person_bytes)

    async def _commit(
        self, session: AsyncSession, wishes: Wishes, upload_id: str | None
    ) -> list[Uploaded]:
        await self._check_room(session, lock=True)
        at = self._studio.shop.clock.now()
        told = uploads.Told(self._caller.user_id, wishes.consent, wishes.tags)
        made: list[Uploaded] = []
        for one in self._files:
            assert one.facts is not None
            _, _, first = await uploads.known(
                session, self._project.id, self._caller.user_id, one.staged.digest
            )
            new = self._new_asset(one, one.facts, wishes)
            await uploads.add(session, self._project.id, new, told, at)
            if wishes.forget:
                await borrowed.lend(session, new.id, self._project.id, at)
            events.record(
                session,
                "asset_uploaded",
                project_id=self._project.id,
                at=at,
                asset=new.id,
                asset_kind=new.kind,
            )
            made.append(_uploaded(new, first))
        if upload_id is not None:
            row = await uploads.get(session, upload_id, self._project.id, self._caller.user_id)
            row.asset_id, row.offset_bytes = made[0].id, row.size_bytes
        return made

    def _new_asset(self, one: _File, facts: Facts, wishes: Wishes) -> NewAsset:
        blob = NewBlob(one.staged.digest, size_bytes=one.staged.size_bytes, **vars(facts))
        how = {"uploaded": True, "stripped": wishes.strip}
        name = stored_name(one.name, facts.media_type)
        who = self._caller.user_id
        return NewAsset(blob, wishes.kind, name, how, creator_id=who, id=one.asset_id)


@asynccontextmanager
async def intake(
    studio: Studio, project: Project, caller: Caller, most_bytes: int
) -> AsyncGenerator[Intake]:
    """Open an intake; what was not finished at the end of the block leaves nothing."""
    taking = Intake(studio, await place_of(studio, project), project, caller, most_bytes)
    try:
        yield taking
    finally:
        await asyncio.to_thread(taking.close)


async def place_of(studio: Studio, project: Project) -> Place:
    """Return where the project's files lie, ready and its own."""
    root = await project_verbs.root_of(studio, project.slug, None)
    await project_verbs.ready_root(studio, project.id, str(root))
    return studio.shop.place(root)


def check_room(room: uploads.Room, project_bytes: int, person_bytes: int) -> None:
    """Raise `QuotaExceeded` where the bytes do not fit."""
    for left, wanted, whose in (
        (room.project, project_bytes, "the project's"),
        (room.person, person_bytes, "your"),
    ):
        if left is not None and wanted > left:
            raise QuotaExceeded(
                f"{wanted} bytes do not fit under {whose} quota: {max(0, left)} are left. Delete "
                "pictures and empty the trash, or ask an administrator to raise the quota.",
                wanted_bytes=wanted,
                left_bytes=max(0, left),
            )


def too_large(name: str, most_bytes: int) -> RequestTooLarge:
    return RequestTooLarge(
        f"{name!r} has more than the {most_bytes} bytes that a file may have, so nothing was kept. "
        "Save it smaller, or raise MAQUETTE_SERVER__UPLOAD_MB.",
        most_bytes=most_bytes,
    )


def stored_name(given: str, media_type: str) -> str:
    """Clean a name, and give it the suffix of what the file really is."""
    path = PurePosixPath(given.replace("\\", "/"))
    known = path.suffix.lower() in _SUFFIXES
    stem = clean_name(path.stem if known else path.name)
    return f"{stem}{SUFFIXES.get(media_type, '')}"


_SUFFIXES = frozenset({*SUFFIXES.values(), ".jpeg", ".jpe", ".jfif", ".tiff", ".heic", ".heif"})


def _uploaded(new: NewAsset, first: str | None) -> Uploaded:
    blob = new.blob
    return Uploaded(
        id=new.id,
        name=new.name,
        kind=new.kind,
        media_type=blob.media_type,
        width_px=blob.width_px,
        height_px=blob.height_px,
        size_bytes=blob.size_bytes,
        sha256=blob.digest,
        duplicate_of=first,
    )
