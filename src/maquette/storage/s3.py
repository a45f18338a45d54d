"""Objects in a bucket that the whole installation shares.

Each project's objects lie below `projects/<its id>/`. The library's network is its own, see
`maquette.net.bucket`, which applies our rules to it.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from pathlib import Path

from maquette.core.bucket import Bucket
from maquette.core.errors import AlreadyExists, ObjectNotFound
from maquette.core.requests import digest_of
from maquette.core.storage import Key, Storage, Stored, Surroundings, checked_key, object_key
from maquette.imaging import peek
from maquette.net.bucket import PART_BYTES, BucketClient, Remote

_FRESH = timedelta(minutes=10)
"""An object that was stored so lately needs no new date to be passed over by a sweep."""
_HEAD_BYTES = 64


class S3Storage(Storage):
    """One object a key; the server refuses a second `create`, so nothing is written twice."""

    id = "s3"
    config = Bucket

    def __init__(
        self, root: Path, client: BucketClient, owner: Callable[[Path], Awaitable[str]]
    ) -> None:
        self._root = root
        self._client = client
        self._owner = owner
        self._folder: str | None = None

    @classmethod
    def opener(cls, config: Bucket, around: Surroundings) -> Callable[[Path], Storage]:
        client = BucketClient(config, around.rules, around.key)
        return lambda root: cls(root, client, around.owner)

    async def put(self, key: Key, data: bytes) -> Stored:
        path = await self._path(key)
        media_type = _media_type(data[:_HEAD_BYTES])
        try:
            await self._client.put(path, data, create=True, media_type=media_type)
        except AlreadyExists:
            if key == object_key(digest_of(data)) and await self._is_old(path, len(data)):
                # The same bytes again, for their date: a sweep passes over what is wanted today.
                await self._client.put(path, data, media_type=media_type)
        return Stored(key, len(data))

    async def put_file(self, key: Key, path: Path) -> Stored:
        """Send a large file in parts; the server cannot refuse those, so it is asked before."""
        size_bytes = path.stat().st_size
        if size_bytes <= PART_BYTES:
            return await self.put(key, path.read_bytes())
        goal = await self._path(key)
        try:
            await self._client.head(goal)
        except ObjectNotFound:
            with path.open("rb") as file:
                media_type = _media_type(file.read(_HEAD_BYTES))
            await self._client.put(goal, path, media_type=media_type)
        return Stored(key, size_bytes)

    async def read(self, key: Key) -> bytes:
        return await self._client.get(await self._path(key))

    async def stream(
        self, key: Key, start: int = 0, end: int | None = None
    ) -> AsyncGenerator[bytes]:
        async with aclosing(self._client.stream(await self._path(key), start, end)) as pieces:
            async for piece in pieces:
                yield piece

    async def signed_url(self, key: Key, expires_s: int, media_type: str) -> str:
        """Return a signed address; it answers with the type that the bytes had when they came."""
        return await self._client.sign(await self._path(key), expires_s)

    async def head(self, key: Key) -> Stored:
        return _stored(key, await self._client.head(await self._path(key)))

    async def delete(self, key: Key) -> None:
        await self._client.delete(await self._path(key))

    async def walk(self, prefix: str) -> AsyncIterator[Stored]:
        folder = await self._own_folder()
        below = prefix.rpartition("/")[0]
        async for found in self._client.walk(f"{folder}/{below}".rstrip("/")):
            key = Key(found.key.removeprefix(f"{folder}/"))
            if key.startswith(prefix):
                yield _stored(key, found)

    async def _is_old(self, path: str, size_bytes: int) -> bool:
        found = await self._client.head(path)
        return found.size_bytes != size_bytes or datetime.now(UTC) - found.modified > _FRESH

    async def _path(self, key: Key) -> str:
        return f"{await self._own_folder()}/{checked_key(key)}"

    async def _own_folder(self) -> str:
        if self._folder is None:
            self._folder = f"projects/{await self._owner(self._root)}"
        return self._folder


def _stored(key: Key, found: Remote) -> Stored:
    return Stored(key, found.size_bytes, found.modified)


def _media_type(head: bytes) -> str:
    """Say what a browser is told of the bytes: a picture's type, or nothing."""
    kind = peek.format_of(head)
    return "application/octet-stream" if kind is None else f"image/{kind}"
