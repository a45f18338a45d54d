"""The one factory of S3 clients: the address rule, timeouts, retries, failures in our words.

The library's network is its own, written in Rust: it does not pass through `maquette.net.client`.
So the rule for addresses is applied here, before the first request and again every minute. The
library looks the name up once more by itself, takes a proxy from the environment and follows
redirects, without the keys: who names an endpoint must be trusted with that.
"""

from __future__ import annotations

import re
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from pydantic import SecretStr

from maquette.core.bucket import KEY, KEY_ID, TOKEN, Bucket
from maquette.core.errors import (
    AlreadyExists,
    BadParameter,
    CapabilityMissing,
    ObjectNotFound,
    StorageReadOnly,
    StorageUnavailable,
)
from maquette.core.wire import WireRules
from maquette.net.client import allowed_addresses

if TYPE_CHECKING:
    from obstore import GetResult, ObjectMeta
    from obstore.store import S3Credential, S3Store

PART_BYTES = 8 * 1024 * 1024
"""Larger files go up in parts of this size, two at a time: that is all that is held of one."""
_MOST_PARTS = 9_000
_PIECE = 256 * 1024
_CHECKED_FOR_S = 60
_LONGEST_SIGNED_S = 7 * 24 * 3600


@dataclass(frozen=True)
class Remote:
    """One object of the bucket, by its key below the prefix."""

    key: str
    size_bytes: int
    modified: datetime
    tag: str
    """The entity tag without its quotes; of an object of one part often its MD5."""
    marks: dict[str, str] = field(default_factory=dict[str, str])
    """Its metadata; a listing does not tell them."""


class BucketClient:
    """The part of one bucket that lies below its prefix."""

    def __init__(self, where: Bucket, rules: WireRules, key: Callable[[str], SecretStr]) -> None:
        self.where = where
        self._rules = rules
        self._key = key
        self._checked_at: float | None = None

    async def put(
        self,
        key: str,
        what: bytes | Path,
        *,
        create: bool = False,
        media_type: str = "application/octet-stream",
        marks: dict[str, str] | None = None,
    ) -> None:
        """Store bytes or a file, all or nothing.

        With `create` raise `AlreadyExists` where the key is taken; a file is then sent whole, from
        memory.
        """
        import obstore  # noqa: PLC0415 - 25 ms that only buckets need

        size_bytes = what.stat().st_size if isinstance(what, Path) else len(what)
        await self._allow()
        with self._explained(key):
            await obstore.put_async(
                self._store,
                key,
                what,
                mode="create" if create else "overwrite",
                attributes={"Content-Type": media_type, **(marks or {})},
                chunk_size=max(PART_BYTES, size_bytes // _MOST_PARTS),
                max_concurrency=2,
            )

    async def get(self, key: str) -> bytes:
        await self._allow()
        with self._explained(key):
            return bytes(await (await self._got(key)).bytes_async())

    async def stream(
        self, key: str, start: int = 0, end: int | None = None
    ) -> AsyncGenerator[bytes]:
        """Read from `start` up to, not including, `end` in pieces of up to 256 KiB."""
        if start or end is not None:
            size_bytes = (await self.head(key)).size_bytes
            end = size_bytes if end is None else min(end, size_bytes)
            if start >= end:
                return
        await self._allow()
        with self._explained(key):
            found = await self._got(key, None if end is None else (start, end))
            async for chunk in found.stream(_PIECE):
                for offset in range(0, len(chunk), _PIECE):
                    yield chunk[offset : offset + _PIECE]

    async def head(self, key: str) -> Remote:
        """Return what is known of an object, its marks too."""
        import obstore  # noqa: PLC0415 - as above

        await self._allow()
        with self._explained(key):
            found = await obstore.get_async(self._store, key, options={"head": True})
            return _remote(found.meta, dict(found.attributes))

    async def walk(self, folder: str = "") -> AsyncIterator[Remote]:
        """List what lies below a folder, in the order of the keys."""
        import obstore  # noqa: PLC0415 - as above

        await self._allow()
        with self._explained(folder):
            pages = obstore.list(self._store, folder or None, chunk_size=1000)  # pyright: ignore[reportUnknownMemberType] - its Arrow form has types of another package
            async for page in pages:
                for meta in page:
                    yield _remote(meta)

    async def copy(self, key: str, to: str) -> None:
        """Let the server copy an object, marks and all."""
        import obstore  # noqa: PLC0415 - as above

        await self._allow()
        with self._explained(key):
            await obstore.copy_async(self._store, key, to)

    async def delete(self, key: str) -> None:
        """Delete an object; one that is gone is fine."""
        import obstore  # noqa: PLC0415 - as above

        await self._allow()
        with self._explained(key), suppress(FileNotFoundError):
            await obstore.delete_async(self._store, key)

    async def sign(self, key: str, expires_s: int) -> str:
        """Return an address from which anybody may read the object for a while."""
        import obstore  # noqa: PLC0415 - as above

        await self._allow()
        with self._explained(key):
            age = timedelta(seconds=min(expires_s, _LONGEST_SIGNED_S))
            return await obstore.sign_async(self._store, "GET", key, age)

    async def check(self) -> None:
        """Raise where the bucket cannot be reached, is not there or refuses the keys."""
        async for _ in self.walk():
            return

    async def _got(self, key: str, piece: tuple[int, int] | None = None) -> GetResult:
        import obstore  # noqa: PLC0415 - as above

        if piece is None:
            return await obstore.get_async(self._store, key)
        return await obstore.get_async(self._store, key, options={"range": piece})

    async def _allow(self) -> None:
        """Apply the address rule; a name that was allowed is looked up again after a minute."""
        now = time.monotonic()
        if self._checked_at is not None and now - self._checked_at < _CHECKED_FOR_S:
            return
        url = urlsplit(self.where.url)
        await allowed_addresses(self._rules, url.hostname or "", url.port)
        self._checked_at = now

    @cached_property
    def _store(self) -> S3Store:
        from obstore.store import S3Store  # noqa: PLC0415 - as above

        where, keys = self.where, self._keys()
        # Everything that the library would else take from the environment is said here.
        return S3Store(
            where.bucket,
            prefix=where.prefix or None,
            config={
                "endpoint": where.url,
                "aws_endpoint_url_s3": where.url,
                "region": where.region,
                "virtual_hosted_style_request": not where.by_path,
                "skip_signature": False,
                "disable_bulk_delete": True,
                "conditional_put": "etag",
            },
            client_options={
                "allow_http": where.url.startswith("http://"),
                "connect_timeout": timedelta(seconds=self._rules.connect_timeout_s),
                "read_timeout": timedelta(seconds=60),
                "timeout": timedelta(seconds=self._rules.longest_wait_s),
            },
            retry_config={"max_retries": 4, "retry_timeout": timedelta(seconds=60)},
            credential_provider=lambda: keys,
        )

    def _keys(self) -> S3Credential:
        token: str | None = None
        with suppress(CapabilityMissing):  # only keys that are lent for a while have one
            token = self._key(TOKEN).get_secret_value()
        return {
            "access_key_id": self._key(KEY_ID).get_secret_value(),
            "secret_access_key": self._key(KEY).get_secret_value(),
            "token": token,
            "expires_at": None,
        }

    @contextmanager
    def _explained(self, key: str) -> Generator[None]:
        """Turn the library's errors, which quote the whole exchange, into ours."""
        from obstore import exceptions as x  # noqa: PLC0415 - as above

        try:
            yield
        except FileNotFoundError as error:
            raise self._absent(key, str(error)) from None
        except x.AlreadyExistsError:
            raise AlreadyExists(f"{key!r} is in {self.where.place} already.") from None
        except (x.PermissionDeniedError, x.UnauthenticatedError) as error:
            raise StorageReadOnly(
                f"{self.where.place} refused the keys{_reason(str(error))}. Check the key, its "
                "secret and what it may do with the bucket."
            ) from None
        except ValueError:
            raise BadParameter(
                f"{key!r} cannot be a key of a bucket: it has a control character. Rename it."
            ) from None
        except x.BaseError as error:
            raise self._unavailable(str(error)) from None

    def _absent(self, key: str, words: str) -> ObjectNotFound | StorageUnavailable:
        if "NoSuchBucket" in words:
            return self._unavailable(words)
        return ObjectNotFound(f"{self.where.place} has no object {key!r}.")

    def _unavailable(self, words: str) -> StorageUnavailable:
        why = _reason(words)
        if not why:
            why = " (no answer)" if "HTTP error" in words else ""
        advice = "Make the bucket, or correct its name" if "NoSuchBucket" in why else "Try again"
        return StorageUnavailable(
            f"{self.where.place} at {self.where.url} could not be used{why}. {advice}; what was "
            "stored before is intact."
        )


def _reason(words: str) -> str:
    """Find what the server said: its code, else its status; never the rest of its answer."""
    found = re.search(r"<Code>(\w{1,64})</Code>", words) or re.search(
        r"status code: (\d{3})", words
    )
    return "" if found is None else f" ({found[1] or found[2]})"


def _remote(meta: ObjectMeta, attributes: dict[str, str] | None = None) -> Remote:
    tag = (meta["e_tag"] or "").strip('"')
    return Remote(meta["path"], meta["size"], meta["last_modified"], tag, attributes or {})
