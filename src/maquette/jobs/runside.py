"""The runner's side of one attempt: what a provider may touch besides its socket."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from pydantic import SecretStr

from maquette.core.errors import StorageUnavailable
from maquette.core.provider import Ticket
from maquette.core.requests import Digest, Encoded, digest_of
from maquette.core.storage import object_key, reply_key
from maquette.db import ledger
from maquette.db.tables import Attempt
from maquette.disk import write_durably
from maquette.jobs.job import Bench
from maquette.jobs.keys import Keys

P = ParamSpec("P")
R = TypeVar("R")

_PROGRESS_S = 0.25
log = logging.getLogger(__name__)


def rescued(bench: Bench, attempt: Attempt) -> Path:
    return bench.shop.rescue / f"{attempt.id}.reply"


async def _unbroken(commit: Coroutine[Any, Any, None]) -> None:
    """Finish a commit even when the call around it is being cancelled."""
    task = asyncio.create_task(commit)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise


class RunSide:
    """The `Run` that a provider is handed."""

    def __init__(self, bench: Bench, attempt: Attempt, keys: Keys) -> None:
        self._bench = bench
        self._attempt = attempt
        self._told_s = -math.inf
        self._keys = keys

    async def read(self, asset: Digest) -> Encoded:
        given: Sequence[Any] = self._attempt.request["inputs"]
        media_type = next(one["media_type"] for one in given if one["digest"] == asset)
        return Encoded(await self._bench.place.storage.read(object_key(asset)), media_type)

    async def progress(self, fraction: float, note: str = "") -> None:
        """Tell at most a few times a second: a model may say so after every step of many."""
        now = time.monotonic()
        if fraction < 1 and now - self._told_s < _PROGRESS_S:
            return
        self._told_s = now
        await _unbroken(self._bench.tell("progress", fraction=fraction, note=note))

    async def partial(self, index: int, image: Encoded) -> None:
        """Keep the picture as bytes that nothing points to, and tell its name."""
        digest = digest_of(image.data)
        try:
            await self._bench.place.storage.put(object_key(digest), image.data)
        except StorageUnavailable:  # nobody pays for a glimpse: the real one will say it
            return
        kind = image.media_type
        tell = self._bench.tell("partial", index=index, sha256=digest, media_type=kind)
        await _unbroken(tell)

    async def accepted(self, ticket: Ticket) -> None:
        await _unbroken(self._note(ticket))
        self._attempt.ticket, self._attempt.endpoint = ticket.id, ticket.endpoint

    async def _note(self, ticket: Ticket) -> None:
        async with self._bench.shop.db.write() as session:
            await ledger.note_ticket(session, self._attempt.id, ticket.id, ticket.endpoint)

    async def raw(self, reply: bytes) -> None:
        """Keep the reply; where the project's disk refuses it, in the home's rescue folder."""
        try:
            await self._bench.place.storage.put(reply_key(self._attempt.id), reply)
        except StorageUnavailable:
            path = rescued(self._bench, self._attempt)
            try:
                await asyncio.to_thread(write_durably, path, reply, scratch=path.parent)
            except StorageUnavailable:
                log.exception("no disk takes the reply of attempt %s", self._attempt.id)

    def secret(self, name: str) -> SecretStr:
        return self._keys.get(name)

    async def compute(self, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        return await self._bench.shop.pool.run(work, *args, **kwargs)
