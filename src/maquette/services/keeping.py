"""What is kept: lineage, checking every byte, taking in people's files, sweeping leftovers."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

from filelock import FileLock, Timeout
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from maquette.core.errors import FileMissing, MaquetteError, ObjectNotFound, ProjectBusy
from maquette.core.requests import Digest, digest_of
from maquette.core.states import AttemptState
from maquette.core.storage import Key, Stored, object_key, reply_key
from maquette.db import assets, portable, runs
from maquette.db.tables import Asset, Attempt, Blob, Job, Project, Run
from maquette.folders import LEFTOVER_S, PRIVATE, SHOWN, young
from maquette.jobs.workshop import Place
from maquette.services import projects
from maquette.services.inputs import PICTURES, load
from maquette.services.pictures import take_in
from maquette.services.studio import Studio


@dataclass(frozen=True)
class Shown:
    """An asset with its family."""

    asset: Asset
    blob: Blob
    files: tuple[str, ...]
    parents: tuple[Relation, ...]
    children: tuple[Relation, ...]


@dataclass(frozen=True)
class Relation:
    """One step up or down the tree, and what lies beyond it."""

    asset: Asset
    role: str
    further: tuple[Relation, ...]


async def lineage(studio: Studio, asset_id: str) -> Shown:
    """Return the asset and its whole tree, both ways."""
    async with studio.shop.db.read() as session:
        found = await assets.by_id(session, asset_id)
        asset, blob = await assets.get(session, found.id)
        files = await assets.files_of(session, asset.id)

        async def climb(of: str, *, up: bool, seen: frozenset[str]) -> tuple[Relation, ...]:
            step = assets.parents_of if up else assets.children_of
            return tuple(
                [
                    Relation(one, role, await climb(one.id, up=up, seen=seen | {one.id}))
                    for one, role in await step(session, of)
                    if one.id not in seen
                ]
            )

        start = frozenset({asset.id})
        return Shown(
            asset,
            blob,
            tuple(files),
            await climb(asset.id, up=True, seen=start),
            await climb(asset.id, up=False, seen=start),
        )


@dataclass(frozen=True)
class Flaw:
    """Something that is not as the database says."""

    what: Literal["missing", "damaged", "changed", "gone"]
    path: str
    advice: str


async def verify(studio: Studio, project: str, root: Path) -> tuple[int, list[Flaw]]:
    """Hash every stored object again and look at every shown file; return (checked, flaws)."""
    found = await projects.find(studio, project)
    place = studio.shop.place(root)
    async with studio.shop.db.read() as session:
        blobs = await assets.blobs(session, found.id)
        files = await assets.files(session, found.id)
    flaws: list[Flaw] = []
    for blob in blobs:
        flaw = await _check_blob(place, blob)
        flaws += [] if flaw is None else [flaw]
    for file, asset in files:
        flaw = await asyncio.to_thread(_check_file, place, file.path, asset.digest)
        flaws += [] if flaw is None else [flaw]
    return len(blobs) + len(files), flaws


async def _check_blob(place: Place, blob: Blob) -> Flaw | None:
    key = object_key(Digest(blob.digest))
    try:
        data = await place.storage.read(key)
    except ObjectNotFound:
        return Flaw("missing", key, "restore it from a backup or the project's mirror")
    if digest_of(data) != blob.digest:
        return Flaw("damaged", key, "the disk changed its bytes; restore it from a backup")
    return None


def _check_file(place: Place, relative: str, digest: str) -> Flaw | None:
    path = place.folders.inside(relative)
    if not path.exists():
        return Flaw(
            "gone", relative, "the bytes are still in the store; `maquette show` finds them"
        )
    if digest_of(path.read_bytes()) != digest:
        return Flaw("changed", relative, "`maquette project adopt` takes it in as a new picture")
    return None


@dataclass(frozen=True)
class Adopted:
    """A file that became an asset, or the reason why not."""

    path: str
    asset: str | None
    parent: str | None = None
    error: str | None = None


async def adopt(studio: Studio, project: str, root: Path, folders: Sequence[Path]) -> list[Adopted]:
    """Take in pictures that people made or changed: each new content is a new asset."""
    place = studio.shop.place(root)
    found = await projects.at_root(studio, project, place)
    paths = _pictures_below(folders or [root / name for name in SHOWN if name != "runs"])
    adopted: list[Adopted] = []
    for path in paths:
        relative = place.folders.relative(path) or str(path)
        try:
            given = await load(studio.shop.pool, path, "picture")
        except MaquetteError as error:
            adopted.append(Adopted(relative, None, error=str(error)))
            continue
        async with studio.shop.db.read() as session:
            before = await assets.file_at(session, found.id, relative)
            known = None if before is None else await assets.get(session, before.asset_id)
        if known is not None and known[0].digest == given.digest:
            continue
        asset_id = await take_in(studio, place, found, given, kind="adopted")
        parent = None if known is None else known[0].id
        async with studio.shop.db.write() as session:
            if parent is not None and parent != asset_id:
                await assets.link(session, asset_id, parent, "init")
            if place.folders.relative(path) is not None:
                now = studio.shop.clock.now()
                await assets.show_at(session, found.id, relative, asset_id, now)
        adopted.append(Adopted(relative, asset_id, parent))
    return adopted


def _pictures_below(folders: Sequence[Path]) -> list[Path]:
    found: list[Path] = []
    for folder in folders:
        if folder.is_file():
            found.append(folder)
        elif not folder.exists():
            raise FileMissing(f"There is no file or folder {str(folder)!r}; check the path.")
        elif folder.is_dir():
            found += [
                path
                for path in sorted(folder.rglob("*"))
                if path.is_file()
                and path.suffix.lower() in PICTURES
                and PRIVATE not in path.parts
                and not path.is_symlink()
            ]
    return found


@dataclass(frozen=True)
class Leftover:
    """Bytes that nothing points to."""

    key: str
    size_bytes: int
    young: bool = False
    """Stored less than an hour ago: somebody's row may follow, so it stays for now."""


async def sweep(studio: Studio, project: str, root: Path, *, dry_run: bool) -> list[Leftover]:
    """Find objects without a row and replies that were settled; unless `dry_run`, trash them.

    Young ones are found but stay. What has lain in the trash for a week is deleted for good.
    """
    found = await projects.find(studio, project)
    place = studio.shop.place(root)
    await asyncio.to_thread(place.folders.check_owner, found.id, project)
    if dry_run:
        return await _leftovers(studio, place, found.id)
    lock = FileLock(studio.desk_lock)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise ProjectBusy(
            "Another process is working on runs of this installation, so nothing was deleted. "
            "Sweep when it has ended."
        ) from None
    try:
        return await _sweep(studio, place, found)
    finally:
        lock.release()


async def _sweep(studio: Studio, place: Place, project: Project) -> list[Leftover]:
    async with studio.shop.db.read() as session:
        busy = await runs.open_in_project(session, project.id)
    if busy is not None:
        raise ProjectBusy(
            f"Run {busy} of {project.slug!r} is not finished, its files may not have rows yet. "
            "Wait, or `maquette resume` it, then sweep."
        )
    leftovers = await _leftovers(studio, place, project.id)
    await asyncio.to_thread(place.folders.empty_trash, studio.shop.clock.now())
    return [one for one in leftovers if not one.young and await _gone(studio, place, project, one)]


async def _leftovers(studio: Studio, place: Place, project_id: str) -> list[Leftover]:
    async with studio.shop.db.read() as session:
        known = await _needed(session, project_id)
    return [
        Leftover(stored.key, stored.size_bytes, _is_young(place, stored, studio.shop.clock.now()))
        for prefix in ("objects/", "replies/", "thumbnails/")
        async for stored in place.storage.walk(prefix)
        if _stands_for(stored.key) not in known
    ]


def _stands_for(key: Key) -> Key:
    """Return what must be needed for an object to be: a thumbnail goes with its picture."""
    folder, _, name = key.rpartition("/")
    if not folder.startswith("thumbnails/"):
        return key
    return object_key(Digest(name.partition(".")[0]))


def _is_young(place: Place, stored: Stored, now: datetime) -> bool:
    if stored.modified is not None:
        return (now - stored.modified).total_seconds() < LEFTOVER_S
    path = place.storage.local_path(stored.key)
    try:
        return path is not None and young(path)
    except FileNotFoundError:
        return False


async def _gone(studio: Studio, place: Place, project: Project, one: Leftover) -> bool:
    """Put one leftover away, unless a row has come to need it since the rows were read."""
    key = Key(one.key)
    async with studio.shop.db.read() as session:
        needed = _stands_for(key)
        if needed in await _needed(session, project.id, needed):
            return False
    now, path = studio.shop.clock.now(), place.storage.local_path(key)
    if path is not None and place.folders.relative(path) is not None:
        return await asyncio.to_thread(place.folders.discard, path, key, now)
    try:
        if _is_young(place, await place.storage.head(key), now):  # wanted again in this very moment
            return False
    except ObjectNotFound:
        return False
    await place.storage.delete(key)
    return True


async def _needed(session: AsyncSession, project_id: str, only: Key | None = None) -> set[Key]:
    """Return the keys that rows point to, or the one that is asked for if they do."""
    states = {AttemptState.RESERVED, AttemptState.SENT, AttemptState.UNKNOWN}
    objects = select(Blob.digest).where(Blob.project_id == project_id)
    replies = (
        select(Attempt.id)
        .join(Job, Job.id == Attempt.job_id)
        .join(Run, Run.id == Job.run_id)
        .where(Run.project_id == project_id, Attempt.state.in_(states))
    )
    if only is not None:
        name = only.rpartition("/")[2]
        objects, replies = objects.where(Blob.digest == name), replies.where(Attempt.id == name)
    others = {object_key(Digest(one)) for one in await portable.digests(session, project_id)}
    found = {object_key(Digest(one)) for one in (await session.execute(objects)).scalars()}
    found |= {reply_key(one) for one in (await session.execute(replies)).scalars()}
    return found | (others if only is None else others & {only})
