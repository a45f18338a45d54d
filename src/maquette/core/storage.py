"""The storage extension point: immutable objects by key."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar, NewType

from pydantic import BaseModel, SecretStr

from maquette.core.errors import BadParameter
from maquette.core.requests import Digest
from maquette.core.wire import WireRules

_PIECE = 256 * 1024

Key = NewType("Key", str)
"""`objects/<sha256[:2]>/<sha256>`, `replies/<attempt>` or `thumbnails/…`; ASCII, no `..`, at most
512 long."""


def object_key(digest: Digest) -> Key:
    return Key(f"objects/{digest[:2]}/{digest}")


def thumbnail_key(digest: Digest, side_px: int, kind: str) -> Key:
    """Name a small picture made of an object; it is made once and never changes."""
    return checked_key(f"thumbnails/{digest[:2]}/{digest}.{side_px}.{kind}")


def reply_key(attempt_id: str) -> Key:
    return checked_key(f"replies/{attempt_id}")


def checked_key(text: str) -> Key:
    """Refuse a key that could leave the store."""
    parts = text.split("/")
    plain = text.isascii() and len(text) <= 512 and "\\" not in text and "\0" not in text
    if not plain or any(part in ("", ".", "..") for part in parts):
        raise BadParameter(f"{text!r} cannot be a key of the store.")
    return Key(text)


@dataclass(frozen=True)
class Stored:
    """What is under a key."""

    key: Key
    size_bytes: int
    modified: datetime | None = field(default=None, compare=False)
    """When it was stored, or asked to be stored, last; None: the store does not say."""


@dataclass(frozen=True)
class Surroundings:
    """What a store that needs settings is given besides them."""

    rules: WireRules
    key: Callable[[str], SecretStr]
    """Return a key of the installation; raise `CapabilityMissing`."""
    owner: Callable[[Path], Awaitable[str]]
    """Return the id of the project whose private folder this is."""


class Storage(ABC):
    """Write-once objects. A key is never overwritten with other bytes."""

    id: ClassVar[str]
    config: ClassVar[type[BaseModel] | None] = None
    """The section of the settings that it needs; None: a folder is enough."""

    @classmethod
    def opener(cls, config: Any, around: Surroundings) -> Callable[[Path], Storage]:
        """Return what opens a project's store by its private folder; `config` was checked."""
        return cls

    @abstractmethod
    def __init__(self, root: Path) -> None:
        """Open the store of the project whose private folder is `root`."""

    @abstractmethod
    async def put(self, key: Key, data: bytes) -> Stored:
        """All or nothing, durable on return; putting a key that exists is a no-op.

        Only an object that was cut short is written again, by the bytes that it is named after.
        """

    async def put_file(self, key: Key, path: Path) -> Stored:
        """Put a file's bytes, as `put` does; stores that can do it without holding them all do."""
        return await self.put(key, await asyncio.to_thread(path.read_bytes))

    @abstractmethod
    async def read(self, key: Key) -> bytes:
        """Raise `ObjectNotFound` where there is none."""

    async def stream(
        self, key: Key, start: int = 0, end: int | None = None
    ) -> AsyncGenerator[bytes]:
        """Read the bytes from `start` up to, not including, `end` in pieces of up to 256 KiB.

        Raise `ObjectNotFound`, at the first piece, where there is none.
        """
        data = await self.read(key)
        for offset in range(start, len(data) if end is None else end, _PIECE):
            yield data[offset : min(offset + _PIECE, len(data) if end is None else end)]

    async def signed_url(self, key: Key, expires_s: int, media_type: str) -> str | None:
        """Return an address from which anybody may read the object for a while; None: no such."""
        return None

    @abstractmethod
    async def head(self, key: Key) -> Stored:
        """Raise `ObjectNotFound` where there is none."""

    @abstractmethod
    async def delete(self, key: Key) -> None:
        """Deleting what is gone is fine."""

    def local_path(self, key: Key) -> Path | None:
        """Return where the object's file lies on this machine, for stores that keep files."""
        return None

    @abstractmethod
    def walk(self, prefix: str) -> AsyncIterator[Stored]:
        """List the objects whose key begins with `prefix`, in order."""
