"""A project's assets: pages of them, one with its family, what people say of them, their bytes."""

from __future__ import annotations

import base64
import binascii
import struct
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import PurePosixPath
from typing import Any
from uuid import UUID

from maquette.core.errors import BadParameter, ObjectNotFound
from maquette.core.requests import Digest
from maquette.core.storage import Key, Storage, Stored, object_key
from maquette.db import assets, details, events, library, lineage, marks, runs, search, trash
from maquette.db.details import Declared, Relation
from maquette.db.library import Filters, Line
from maquette.db.lineage import Direction, Family
from maquette.db.tables import Project
from maquette.imaging.files import SUFFIXES
from maquette.services.studio import Studio

MOST_TAGS = 32
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Page:
    """Some assets, and the cursor of those that come after them."""

    items: tuple[Line, ...]
    next: str | None


async def page(
    studio: Studio,
    wanted: Filters,
    *,
    text: str | None = None,
    viewer: str | None = None,
    limit: int = 60,
    cursor: str | None = None,
) -> Page:
    """Return a page of a project's assets; `viewer` is whose favourites are marked."""
    wanted = replace(wanted, tags=tuple(dict.fromkeys(map(marks.tag_of, wanted.tags))))
    if text is not None:
        wanted = replace(wanted, words=search.words_of(text))
        if not wanted.words:
            return Page((), None)
    after = None if cursor is None else _place(cursor, in_words=text is not None)
    async with studio.shop.db.read() as session:
        found = await library.page(session, wanted, viewer, limit + 1, after)
    items = tuple(found[:limit])
    return Page(items, _cursor(items[-1], wanted) if len(found) > limit else None)


def _cursor(last: Line, wanted: Filters) -> str:
    """Write down where a page ended, short: a kind, a number, and an id in 16 bytes."""
    if wanted.words is not None:
        return _short(b"w" + struct.pack(">q", last.words_id or 0))
    moment = (last.trashed_at or last.created_at) if wanted.trashed else last.created_at
    micros = (moment - _EPOCH) // timedelta(microseconds=1)
    try:
        kind, name = b"u", UUID(last.id).bytes
    except ValueError:  # an ingested log may name its assets otherwise
        kind, name = b"t", last.id.encode()
    if kind == b"u" and str(UUID(bytes=name)) != last.id:
        kind, name = b"t", last.id.encode()
    return _short(kind + struct.pack(">q", micros) + name)


def _short(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _place(cursor: str, *, in_words: bool) -> library.Place:
    try:
        return _read(cursor, in_words=in_words)
    except (binascii.Error, struct.error, ValueError, OverflowError):
        raise BadParameter(
            "The cursor is not one of this list; begin again without it, with the same filters."
        ) from None


def _read(cursor: str, *, in_words: bool) -> library.Place:
    data = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
    kind, (number,), name = data[:1], struct.unpack(">q", data[1:9]), data[9:]
    if in_words != (kind == b"w") or kind not in (b"w", b"u", b"t"):
        raise ValueError(kind)
    if kind == b"w":
        return int(number)
    last = str(UUID(bytes=name)) if kind == b"u" else name.decode("ascii")
    if not last.isprintable():
        raise ValueError(last)
    return _EPOCH + timedelta(microseconds=number), last


@dataclass(frozen=True)
class Detail:
    """All there is to say of one asset."""

    line: Line
    prompt: str
    made_by: dict[str, Any]
    files: tuple[str, ...]
    parents: tuple[Relation, ...]
    children: tuple[Relation, ...]
    """The first of them; `lineage` has the whole tree."""
    consents: tuple[Declared, ...]


async def show(studio: Studio, project_id: str, asset_id: str, viewer: str | None) -> Detail:
    async with studio.shop.db.read() as session:
        line = await library.line(session, project_id, asset_id, viewer)
        prompt, made_by = await details.made(session, asset_id)
        return Detail(
            line,
            prompt,
            made_by,
            tuple(await details.files(session, project_id, asset_id)),
            tuple(await details.relations(session, asset_id, up=True)),
            tuple(await details.relations(session, asset_id, up=False)),
            tuple(await details.consents(session, asset_id)),
        )


async def whole_id(studio: Studio, project_id: str, beginning: str) -> str:
    """Return the id of the one asset of a project whose id begins so."""
    async with studio.shop.db.read() as session:
        found = await assets.by_id(session, beginning)
        return (await library.line(session, project_id, found.id, None)).id


async def family(
    studio: Studio, project_id: str, asset_id: str, direction: Direction, most: int
) -> Family:
    """Return the tree of an asset, up to `most` of its pictures."""
    async with studio.shop.db.read() as session:
        await library.line(session, project_id, asset_id, None)
        return await lineage.family(session, asset_id, direction, most)


async def set_tags(
    studio: Studio, project_id: str, asset_id: str, tags: Sequence[str]
) -> tuple[str, ...]:
    """Give an asset these tags and no others; return them as they are kept."""
    kept = sorted({marks.tag_of(tag) for tag in tags})
    if len(kept) > MOST_TAGS:
        raise BadParameter(f"These are {len(kept)} tags; an asset has at most {MOST_TAGS}.")
    async with studio.shop.db.write() as session:
        asset = await trash.held(session, project_id, asset_id)
        await marks.set_tags(session, asset, kept)
        events.record(
            session,
            "asset_tagged",
            project_id=project_id,
            at=studio.shop.clock.now(),
            asset=asset_id,
            tags=kept,
        )
    return tuple(kept)


async def favour(
    studio: Studio, project_id: str, asset_id: str, user_id: str, *, liked: bool
) -> None:
    """Note that one person likes an asset, or does not; nobody else is told."""
    async with studio.shop.db.write() as session:
        asset = await trash.held(session, project_id, asset_id)
        if liked:
            await marks.like(session, asset, user_id, studio.shop.clock.now())
        else:
            await marks.unlike(session, asset_id, user_id)


async def bytes_of(studio: Studio, project_id: str, asset_id: str) -> library.Bytes:
    """Say what the bytes of an asset are, wherever they lie."""
    async with studio.shop.db.read() as session:
        return await library.bytes_of(session, project_id, asset_id)


async def located(studio: Studio, project: Project, digest: str) -> tuple[Storage, Stored]:
    """Look for an object in every root that the project has had, the present one first."""
    key = object_key(Digest(digest))
    found = None if project.root is None else await _in(studio, project.root, key)
    if found is not None:
        return found
    async with studio.shop.db.read() as session:
        roots = await runs.roots(session, project.id)
    for root in roots:
        found = None if root == project.root else await _in(studio, root, key)
        if found is not None:
            return found
    raise ObjectNotFound(
        f"The bytes of this asset are in no root of {project.slug!r}. `maquette verify` checks all "
        "of them; restore the root from a backup."
    )


async def _in(studio: Studio, root: str, key: Key) -> tuple[Storage, Stored] | None:
    storage = studio.shop.place(root).storage
    try:
        return storage, await storage.head(key)
    except ObjectNotFound:
        return None


def file_name(name: str, media_type: str) -> str:
    """Call an asset what a person would who saves it."""
    suffix = SUFFIXES.get(media_type, ".bin")
    plain = name.replace("/", "_").replace("\\", "_").strip() or "asset"
    return plain if PurePosixPath(plain).suffix.lower() == suffix else plain + suffix
