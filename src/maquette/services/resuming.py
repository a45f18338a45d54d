"""Resumable uploads: the bytes in a file of the store, how far they are sure in a row."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

from maquette.core.errors import (
    BadParameter,
    ChecksumMismatch,
    InvalidInput,
    MaquetteError,
    QuotaExceeded,
    RequestTooLarge,
    UploadNotFound,
    WrongState,
)
from maquette.core.people import Caller
from maquette.db import projects, uploads
from maquette.db.tables import Project, Upload
from maquette.services import staging
from maquette.services.staging import Staged
from maquette.services.studio import Studio
from maquette.services.uploading import Intake, Wishes, check_room, place_of, too_large

KEPT = timedelta(days=1)
"""An upload that nobody continues for so long is forgotten."""
CHECKSUMS = ("sha256", "sha1")
_MOST_UNFINISHED = 100
_SURE_BYTES = 8 * 1024 * 1024
"""After so many bytes what came is made sure, so that a crash loses no more."""
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Progress:
    """How far an upload is."""

    id: str
    size_bytes: int
    offset_bytes: int
    expires_at: datetime
    asset_id: str | None


@dataclass(frozen=True)
class Checksum:
    """What the bytes of one request must hash to."""

    algorithm: str
    digest: bytes


@dataclass(frozen=True)
class Desk:
    """Whose uploads, and where."""

    studio: Studio
    project: Project
    caller: Caller

    async def row(self, upload_id: str) -> Upload:
        """Return the caller's own upload, unless it has expired."""
        async with self.studio.shop.db.read() as session:
            found = await uploads.get(session, upload_id, self.project.id, self.caller.user_id)
        if found.expires_at <= self.studio.shop.clock.now():
            raise UploadNotFound(f"The upload {upload_id!r} has expired; begin it again.")
        return found

    async def file(self, upload_id: str) -> Path:
        place = await place_of(self.studio, self.project)
        return _file(place.folders.scratch, upload_id)


def _file(scratch: Path, upload_id: str) -> Path:
    return scratch / f"{upload_id}.part"


async def begin(
    desk: Desk, size_bytes: int, name: str, wishes: Wishes, most_bytes: int
) -> Progress:
    """Promise an upload of a known length; what has expired meanwhile is forgotten."""
    if size_bytes > most_bytes:
        raise too_large(name, most_bytes)
    studio = desk.studio
    at = studio.shop.clock.now()
    path = await desk.file("")
    await _forget_expired(studio, desk.project, path.parent)
    row = Upload(
        id=str(uuid4()),
        user_id=desk.caller.user_id,
        project_id=desk.project.id,
        size_bytes=size_bytes,
        offset_bytes=0,
        told={"name": name, **asdict(wishes)},
        created_at=at,
        expires_at=at + KEPT,
    )
    async with studio.shop.db.write() as session:
        room = await uploads.room(session, desk.project.id, desk.caller.user_id, lock=True)
        number, promised = await uploads.promised(session, desk.caller.user_id, at)
        if number >= _MOST_UNFINISHED:
            raise QuotaExceeded(
                f"You have {number} unfinished uploads, which is the most. Finish or delete some: "
                "DELETE at their address."
            )
        check_room(room, size_bytes, size_bytes + promised)
        session.add(row)
    return _progress(row, 0)


async def look(desk: Desk, upload_id: str) -> Progress:
    """Say how far an upload is: as far as both the row and the file are."""
    row = await desk.row(upload_id)
    return _progress(row, _sure_bytes(row, await desk.file(upload_id)))


def _sure_bytes(row: Upload, path: Path) -> int:
    """Return how many bytes are safe; an upload that is no asset yet lacks one at least.

    So a client that has sent everything, but was told nothing, sends the last byte again and with
    it asks for the end.
    """
    if _is_finished(row):
        return row.size_bytes
    there = path.stat().st_size if path.exists() else 0
    return min(row.offset_bytes, there, row.size_bytes - 1)


def _is_finished(row: Upload) -> bool:
    """Rows say that all bytes came only together with the asset that they became."""
    return row.offset_bytes == row.size_bytes


def _progress(row: Upload, offset_bytes: int) -> Progress:
    return Progress(row.id, row.size_bytes, offset_bytes, row.expires_at, row.asset_id)


class Writing:
    """An upload that this request alone writes."""

    def __init__(self, desk: Desk, row: Upload, staged: Staged, checksum: Checksum | None) -> None:
        self._desk = desk
        self._row = row
        self._staged = staged
        self._checksum = checksum
        self._hash = None if checksum is None else hashlib.new(checksum.algorithm)
        self._begun_at = self._at = self._sure = _sure_bytes(row, staged.path)

    @property
    def offset_bytes(self) -> int:
        return self._begun_at

    async def open(self) -> None:
        await self._staged.cut(self._begun_at)

    async def write(self, data: bytes) -> None:
        if self._at + len(data) > self._row.size_bytes:
            raise RequestTooLarge(
                f"More than the promised {self._row.size_bytes} bytes came. What came before is "
                "kept: ask with HEAD, and send no more than is missing."
            )
        await self._staged.write(data)
        self._at += len(data)
        if self._hash is not None:
            self._hash.update(data)
        elif self._at - self._sure >= _SURE_BYTES:
            await self.save()

    async def save(self) -> None:
        """Make sure of what came; of bytes with a checksum, only when it was right."""
        if self._hash is not None and self._at != self._begun_at:
            return
        self._sure = min(self._at, self._row.size_bytes - 1)
        if _is_finished(self._row):
            return
        await self._staged.sync()
        shop = self._desk.studio.shop
        async with shop.db.write() as session:
            row = await uploads.get(session, self._row.id, self._row.project_id, self._row.user_id)
            row.offset_bytes = self._sure
            row.expires_at = self._row.expires_at = shop.clock.now() + KEPT

    async def end(self, most_bytes: int) -> Progress:
        """Close a request whose bytes all came; the last one makes the asset."""
        if self._checksum is not None and self._hash is not None:
            if self._hash.digest() != self._checksum.digest:
                await self._staged.cut(self._begun_at)
                raise ChecksumMismatch(
                    "The bytes do not match Upload-Checksum, so none of this request's were kept. "
                    "Send them again."
                )
            self._hash = None
        await self.save()
        if self._at < self._row.size_bytes:
            return _progress(self._row, self._at)
        if not _is_finished(self._row):
            await self._become_asset(most_bytes)
        return _progress(self._row, self._row.size_bytes)

    async def _become_asset(self, most_bytes: int) -> None:
        name, wishes = _told(self._row.told)
        desk = self._desk
        place = await place_of(desk.studio, desk.project)
        intake = Intake(desk.studio, place, desk.project, desk.caller, most_bytes)
        try:
            await self._staged.read_again()
            intake.adopt(name, self._staged)
            (made,) = await intake.finish(wishes, upload_id=self._row.id)
        except InvalidInput:  # it will not be better the next time
            async with desk.studio.shop.db.write() as session:
                await uploads.forget(session, self._row.id)
            self._staged.path.unlink(missing_ok=True)
            raise
        finally:
            await asyncio.to_thread(intake.close)
        self._row.asset_id = made.id
        self._staged.path.unlink(missing_ok=True)


def _told(told: dict[str, Any]) -> tuple[str, Wishes]:
    wishes = Wishes(told["kind"], told["consent"], told["strip"], tuple(told["tags"]))
    return told["name"], wishes


@asynccontextmanager
async def writing(
    desk: Desk, upload_id: str, offset_bytes: int, checksum: Checksum | None
) -> AsyncGenerator[Writing]:
    """Continue an upload where it stands; whatever happens, what came is kept."""
    path = await desk.file(upload_id)
    await desk.row(upload_id)
    with staging.held(path) as staged:
        row = await desk.row(upload_id)  # as it is now that nobody else writes
        one = Writing(desk, row, staged, checksum)
        if offset_bytes != one.offset_bytes:
            raise WrongState(
                f"The upload stands at {one.offset_bytes}, not at {offset_bytes}. Ask with HEAD, "
                "and go on from there.",
                offset_bytes=one.offset_bytes,
            )
        await one.open()
        try:
            yield one
        except BaseException:
            with suppress(MaquetteError):  # it may be gone; what went wrong first is told
                await asyncio.shield(one.save())
            raise


async def forget(desk: Desk, upload_id: str) -> None:
    """Give an upload up; a picture that it became already stays."""
    path = await desk.file(upload_id)
    await desk.row(upload_id)
    with staging.held(path):
        async with desk.studio.shop.db.write() as session:
            await uploads.forget(session, upload_id)
        path.unlink(missing_ok=True)


async def sweep(studio: Studio) -> None:
    """Forget what expired, and delete the files that dead processes left on their way."""
    async with studio.shop.db.read() as session:
        found = await projects.everyone(session)
    for project in found:
        if project.root is None:
            continue
        scratch = studio.shop.place(project.root).folders.scratch
        try:
            if scratch.is_dir():
                await asyncio.to_thread(staging.sweep, scratch)
                await _forget_expired(studio, project, scratch)
        except (MaquetteError, OSError):
            log.exception("the uploads of %s could not be swept", project.slug)


async def _forget_expired(studio: Studio, project: Project, scratch: Path) -> None:
    async with studio.shop.db.read() as session:
        expired = await uploads.expired(session, project.id, studio.shop.clock.now())
    for upload_id in expired:
        async with studio.shop.db.write() as session:
            await uploads.forget(session, upload_id)
    async with studio.shop.db.read() as session:
        wanted = await uploads.ids(session, project.id)
    for path in scratch.glob("*.part"):
        if path.stem not in wanted:
            with suppress(MaquetteError), staging.held(path):
                path.unlink(missing_ok=True)


def checksum_of(algorithm: str, digest: bytes) -> Checksum:
    """Check what a client says of its bytes."""
    if algorithm not in CHECKSUMS:
        raise BadParameter(
            f"Upload-Checksum uses {algorithm!r}; it can be {' or '.join(CHECKSUMS)}."
        )
    return Checksum(algorithm, digest)
