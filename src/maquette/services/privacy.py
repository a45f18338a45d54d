"""One person's data: all of it in an archive of their own, and all of it erased."""

from __future__ import annotations

import json
import os
import shutil
import time
from asyncio import to_thread
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile, ZipInfo

from maquette.core.errors import AlreadyExists, ObjectNotFound, UserNotFound, WrongState
from maquette.core.requests import Digest
from maquette.core.storage import Key, object_key
from maquette.db import assets, people, privacy, trash
from maquette.db.tables import Asset, Project, User
from maquette.disk import explained
from maquette.jobs.workshop import Place
from maquette.services import projects
from maquette.services.inputs import given_path
from maquette.services.people import LOCAL
from maquette.services.studio import Studio

_IN_FLIGHT_S = 60
_README = """\
All that Maquette knows of you. The .json files hold one list each; uploads/ has the pictures
that you sent, by project and id; voice/ what was recorded or spoken for you. What is missing was
gone already. Runs are those that you began: their pictures belong to the projects.
"""


async def person(studio: Studio, name: str) -> User:
    async with studio.shop.db.read() as session:
        found = await people.by_name(session, name)
    if found is None:
        raise UserNotFound(f"There is no person {name!r}; `maquette user list` names all.")
    return found


async def archive(studio: Studio, name: str) -> AsyncGenerator[bytes]:
    """Write a person's data as a ZIP, piece by piece; nothing is held but the piece."""
    found = await person(studio, name)
    sink = _Sink()
    with ZipFile(sink, "w", ZIP_DEFLATED) as made:
        made.writestr("README.txt", _README)
        account = {"id": found.id, "name": found.name, "role": found.role}
        account["created_at"] = found.created_at.isoformat()
        made.writestr("account.json", json.dumps(account, indent=1))
        yield sink.taken()
        for section in privacy.SECTIONS:
            async for piece in _listed(studio, made, sink, section, found.id):
                yield piece
        async for path, storage_key, place in _objects(studio, found.id):
            async for piece in _copied(made, sink, path, storage_key, place):
                yield piece
    yield sink.taken()


async def write_archive(studio: Studio, name: str, path: Path) -> None:
    """Write the archive to a new file, whole or not at all, for its owner's eyes alone."""
    if path.exists():
        raise AlreadyExists(f"There is {str(path)!r} already; give another --output.")
    with explained(path):
        file = os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")
    try:
        with file:
            async for piece in archive(studio, name):
                with explained(path):
                    file.write(piece)
    except BaseException:
        path.unlink(missing_ok=True)
        raise


class _Sink:
    """Where the archive is written to: it is given away before it grows."""

    def __init__(self) -> None:
        self._written: list[bytes] = []

    def write(self, data: bytes) -> int:
        self._written.append(bytes(data))
        return len(data)

    def flush(self) -> None:
        """Do nothing: it is taken, not flushed."""

    def close(self) -> None:
        """Do nothing, as above."""

    def taken(self) -> bytes:
        found, self._written = b"".join(self._written), []
        return found


async def _listed(
    studio: Studio, made: ZipFile, sink: _Sink, name: str, user_id: str
) -> AsyncGenerator[bytes]:
    """Write one list, a page of rows at a time."""
    after: Any = None
    before = "["
    with made.open(f"{name}.json", "w") as member:
        while True:
            async with studio.shop.db.read() as session:
                rows = await privacy.page(session, privacy.SECTIONS[name], user_id, after)
            for key, row in rows:
                after = key
                member.write(f"{before}\n{json.dumps(row, ensure_ascii=False)}".encode())
                before = ","
            yield sink.taken()
            if len(rows) < privacy.PAGE:
                break
        member.write(b"[]\n" if before == "[" else b"\n]\n")


async def _objects(studio: Studio, user_id: str) -> AsyncGenerator[tuple[str, Key, Place]]:
    last = ""
    while True:
        async with studio.shop.db.read() as session:
            found = await privacy.stored_uploads(session, user_id, last)
        for asset_id, name, digest, root, slug in found:
            last = asset_id
            if root is not None:
                path = f"uploads/{slug}/{asset_id}{PurePosixPath(name).suffix}"
                yield path, object_key(Digest(digest)), studio.shop.place(root)
        if len(found) < privacy.PAGE:
            break
    async with studio.shop.db.read() as session:
        voices = await privacy.recordings(session, user_id)
    for request_id, digest, root, slug in voices:
        if root is not None:
            key = object_key(Digest(digest))
            yield f"voice/{slug}/{request_id}", key, studio.shop.place(root)


async def _copied(
    made: ZipFile, sink: _Sink, path: str, key: Key, place: Place
) -> AsyncGenerator[bytes]:
    try:
        size_bytes = (await place.storage.head(key)).size_bytes
    except ObjectNotFound:
        return
    info = ZipInfo(path)
    info.file_size = size_bytes  # so that it knows whether ZIP64 is needed
    info.compress_type = ZIP_STORED  # pictures do not get smaller
    with made.open(info, "w") as member:
        async with aclosing(place.storage.stream(key)) as pieces:
            async for piece in pieces:
                member.write(piece)
                yield sink.taken()


@dataclass(frozen=True)
class Erased:
    """What became of a person's data."""

    name: str
    """What the account is called now."""
    uploads_purged: int
    uploads_kept: int
    """Pictures were made from them, or a run needs them: they stay without a name."""
    recordings_deleted: int


async def foresee(studio: Studio, name: str) -> Erased:
    """Say what erasing would do; nothing is changed."""
    found = await person(studio, name)
    await _check_can_go(studio, found)
    purged = kept = 0
    last = ""
    while True:
        async with studio.shop.db.read() as session:
            page = await privacy.stored_uploads(session, found.id, last)
            for asset_id, *_ in page:
                last = asset_id
                asset, _ = await assets.get(session, asset_id)
                needed = await _is_needed(session, asset)
                purged, kept = purged + (not needed), kept + needed
            if len(page) < privacy.PAGE:
                voices = await privacy.recordings(session, found.id)
                return Erased(found.name, purged, kept, len(voices))


async def erase(studio: Studio, name: str) -> Erased:
    """Erase a person's data; where it was interrupted, doing it again goes on.

    First nobody can come in with the account any more, then bytes go before their rows: what a
    crash leaves is still found by its rows. The name goes last.
    """
    found = await person(studio, name)
    await _check_can_go(studio, found)
    async with studio.shop.db.write() as session:
        await privacy.shut_out(session, found.id, studio.shop.clock.now())
    purged, kept = await _erase_uploads(studio, found.id)
    async with studio.shop.db.read() as session:
        voices = await privacy.recordings(session, found.id)
    for request_id, digest, root, slug in voices:
        if root is not None:
            project = await projects.find(studio, slug)
            await _erase_bytes(studio, project, Digest(digest), request_id, None)
    await _erase_unfinished(studio, found.id)
    async with studio.shop.db.write() as session:
        new_name = await privacy.forget(session, found.id)
    return Erased(new_name, purged, kept, len(voices))


async def _check_can_go(studio: Studio, found: User) -> None:
    if found.name == LOCAL:
        raise WrongState(
            "This is the person whose studio it is, without a name or a password: delete its "
            "projects, or the whole MAQUETTE_HOME."
        )
    async with studio.shop.db.read() as session:
        admins = await people.administrators(session)
        open_work = await privacy.open_work(session, found.id)
    if [one.id for one in admins] == [found.id]:
        raise WrongState(
            f"{found.name!r} is the only administrator. Make another one first: "
            "`maquette user create NAME --role admin`."
        )
    if open_work is not None:
        raise WrongState(
            f"{open_work!r}, which {found.name!r} began, has not ended. Wait for it, or cancel it."
        )


async def _erase_uploads(studio: Studio, user_id: str) -> tuple[int, int]:
    purged = kept = 0
    last = ""
    while True:
        async with studio.shop.db.read() as session:
            found = await privacy.stored_uploads(session, user_id, last)
        for asset_id, *_ in found:
            last = asset_id
            gone = await _erase_upload(studio, asset_id)
            purged += gone
            kept += not gone
        if len(found) < privacy.PAGE:
            return purged, kept


async def _erase_upload(studio: Studio, asset_id: str) -> bool:
    """Purge one upload with its bytes; False where it has to stay, without its sender."""
    async with studio.shop.db.write() as session:
        asset, _ = await assets.get(session, asset_id)
        project = await session.get_one(Project, asset.project_id)
        asset = await trash.held(session, project.id, asset_id)
        if await _is_needed(session, asset):
            await privacy.detach(session, asset)
            return False
        asset.deleted_at = asset.deleted_at or studio.shop.clock.now()
    await _erase_bytes(studio, project, Digest(asset.digest), asset.id, asset)
    async with studio.shop.db.write() as session:
        asset = await trash.held(session, project.id, asset_id)
        if await _is_needed(session, asset):  # since a moment ago: whoever did it stored it again
            await privacy.detach(session, asset)
            return False
        await trash.purge(session, asset)
    return True


async def _is_needed(session: Any, asset: Asset) -> bool:
    return (
        await trash.child_of(session, asset.id) is not None
        or await trash.run_that_needs(session, asset) is not None
    )


async def _erase_bytes(
    studio: Studio, project: Project, digest: Digest, row_id: str, asset: Asset | None
) -> None:
    """Delete an object, what was made of it to show it, and its files in the folders."""
    if project.root is None:
        return
    place = studio.shop.place(project.root)
    async with studio.shop.db.read() as session:
        shared = await privacy.shared(session, project.id, digest, row_id)
        files = () if asset is None else await assets.files_of(session, asset.id)
    if asset is not None:
        await to_thread(_erase_shown, place, files, place.storage.local_path(object_key(digest)))
        given = given_path(place.folders, asset.id, "-").parent
        await to_thread(shutil.rmtree, given, ignore_errors=True)
    if shared or _is_in_flight(place, digest, asset):
        return
    small = [one.key async for one in place.storage.walk(f"thumbnails/{digest[:2]}/{digest}.")]
    for key in [*small, object_key(digest)]:
        await place.storage.delete(key)


def _is_in_flight(place: Place, digest: Digest, asset: Asset | None) -> bool:
    """Say whether somebody else is just storing the same bytes: then they are theirs too."""
    path = place.storage.local_path(object_key(digest))
    if path is None or asset is None:
        return False
    with suppress(FileNotFoundError):
        touched = path.stat().st_mtime
        return touched > asset.created_at.timestamp() and time.time() - touched < _IN_FLIGHT_S
    return False


def _erase_shown(place: Place, files: Iterable[str], stored: Path | None) -> None:
    """Delete the files that show the picture, but for those that a person changed."""
    for relative in files:
        path = place.folders.inside(relative)
        with suppress(FileNotFoundError):
            if stored is None or path.read_bytes() == stored.read_bytes():
                path.unlink()


async def _erase_unfinished(studio: Studio, user_id: str) -> None:
    async with studio.shop.db.read() as session:
        rows = await privacy.page(session, privacy.SECTIONS["unfinished_uploads"], user_id, None)
        found = [(row["id"], await session.get_one(Project, row["project_id"])) for _, row in rows]
    for upload_id, project in found:
        if project.root is not None:
            scratch = studio.shop.place(project.root).folders.scratch
            (scratch / f"{upload_id}.part").unlink(missing_ok=True)
