"""Looking at a server while it works: how far it is, its preview, and stopping it.

Progress is told of the whole server, without a name for whose work it is. It is ours for certain
only where nothing ran before we sent and no other call of ours can be under way.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from dataclasses import dataclass

import httpx2
from pydantic import BaseModel, Field, ValidationError

from maquette import net
from maquette.core.errors import BadProviderReply, MaquetteError
from maquette.core.provider import Run
from maquette.core.requests import Encoded
from maquette.providers.a1111 import answers, wire

log = logging.getLogger(__name__)

GLANCE_S = 5.0
"""How long a look may take; a server that is deep in its work may be slow to answer."""
MOST_GLANCE_BYTES = 16 * 1024 * 1024
"""Of one look: a preview is small."""
_STOP_S = 3.0
_NO_SUCH_ADDRESS = frozenset({404, 405, 501})


class _State(BaseModel, frozen=True):
    job_count: int


class _Progress(BaseModel, frozen=True):
    progress: float = Field(ge=0, allow_inf_nan=False)
    state: _State | None = None
    current_image: str | None = None


@dataclass(frozen=True)
class Look:
    """How far the server is with whatever it does."""

    fraction: float
    idle: bool
    preview: str | None


def read(body: bytes) -> Look | None:
    """Read what the server tells of its progress; None: nothing that can be used."""
    try:
        told = _Progress.model_validate_json(body)
    except ValidationError:
        return None
    idle = told.progress == 0 if told.state is None else told.state.job_count == 0
    return Look(min(1.0, told.progress), idle, told.current_image)


class Watch:
    """Looks now and then; whatever goes wrong with that never disturbs the work itself."""

    def __init__(self, client: httpx2.AsyncClient, host: str, every_s: float) -> None:
        self._client = client
        self._host = host
        self._every_s = every_s
        self._blind = False

    async def look(self) -> Look | None:
        """Return how far the server is; None where it does not say."""
        try:
            with net.sending(self._host, paid=False):
                answer = await self._client.get(
                    wire.PROGRESS, params={"skip_current_image": "false"}
                )
        except MaquetteError:
            return None
        self._blind = answer.status_code in _NO_SUCH_ADDRESS
        return read(answer.content) if answer.status_code == 200 else None

    async def follow(self, run: Run) -> None:
        """Tell of the progress until cancelled."""
        furthest, shown = 0.0, None
        try:
            while not self._blind:
                await asyncio.sleep(self._every_s)
                seen = await self.look()
                if seen is None or seen.idle:
                    continue
                if seen.fraction > furthest:
                    furthest = seen.fraction
                    await run.progress(furthest)
                if seen.preview and seen.preview != shown:
                    shown = seen.preview
                    await self._show(shown, run)
        except Exception:
            log.exception("the progress of a server could not be shown")

    async def interrupt(self) -> None:
        """Ask the server to stop, without insisting."""
        with suppress(MaquetteError, TimeoutError):
            async with asyncio.timeout(_STOP_S):
                with net.sending(self._host, paid=False):
                    await self._client.post(wire.INTERRUPT)

    @staticmethod
    async def _show(preview: str, run: Run) -> None:
        try:
            picture: Encoded = answers.decoded(preview)
        except BadProviderReply:
            return
        await run.partial(0, picture)
