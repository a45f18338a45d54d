"""Speech heard and spoken: every request is recorded, its audio in the project's store."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import uuid4

from sqlalchemy.ext.asyncio import AsyncSession

from maquette.core.errors import (
    CapabilityMissing,
    MaquetteError,
    StorageFull,
    VoiceRequestNotFound,
)
from maquette.core.money import FREE, Nano
from maquette.core.people import Caller
from maquette.core.requests import Digest, digest_of
from maquette.core.speech import Audio, Command, Spoken, Transcript, Voices
from maquette.core.storage import Storage, Stored, object_key
from maquette.db import events, idempotency, talk
from maquette.db.tables import Blob, Project, VoiceRequest
from maquette.db.upsert import insert_missing
from maquette.jobs.workshop import Place
from maquette.services import metering, projects, proposing
from maquette.services.metering import Bill, Commit, Priced
from maquette.services.starting import Spending
from maquette.services.studio import Studio
from maquette.speech.formats import sound_format

_ROOM_BYTES = 64 * 1024 * 1024
"""Free space asked for before money is spent on sound that must be stored."""


@dataclass(frozen=True)
class Wanted:
    """What is to be said, and how."""

    text: str
    voice: str = ""
    rate: float = 1.0
    form: str = ""


async def of_project(studio: Studio, project_id: str) -> Voices:
    """Return who speaks and listens for a project."""
    return studio.voices((await studio.keys_of(project_id)).get)


async def speak(
    studio: Studio, project: Project, caller: Caller, wanted: Wanted, spending: Spending
) -> VoiceRequest:
    """Say a text; the sound is kept with the request."""
    speaker = (await of_project(studio, project.id)).speaker
    _check(speaker.missing())
    call = Priced("speak", "speech", speaker.id, speaker.estimate(wanted.text), speaker.priced_by())
    metering.check(call, spending)
    work = await _Work.begin(studio, project, "tts", caller, call)
    work.row.text = wanted.text

    async def send() -> tuple[Spoken, Bill]:
        spoken = await speaker.speak(wanted.text, wanted.voice, wanted.rate, wanted.form)
        return spoken, Bill(spoken.cost, spoken.usage)

    async def keep(spoken: Spoken, cost: Nano) -> Commit:
        await work.store(spoken.audio.data, spoken.audio.media_type)
        data = {"source": spoken.source, "voice": spoken.voice, "embedded": speaker.embedded}
        return work.done(cost, data)

    return await work.carry_out(spending, send, keep)


async def listen(
    studio: Studio,
    project: Project,
    caller: Caller,
    data: bytes,
    spending: Spending,
    *,
    propose: bool = False,
) -> VoiceRequest:
    """Write a recording down; `propose` makes a command that it is an instruction that waits."""
    kind = sound_format(data)
    audio = Audio(data, kind.media_type)
    listener = (await of_project(studio, project.id)).listener
    _check(listener.missing())
    call = Priced("listen", "speech", listener.id, listener.estimate(audio), listener.priced_by())
    metering.check(call, spending)
    work = await _Work.begin(studio, project, "stt", caller, call)
    await work.store(data, kind.media_type)
    heard: list[Transcript] = []

    async def send() -> tuple[Transcript, Bill]:
        transcript = await listener.listen(audio)
        return transcript, Bill(transcript.cost, transcript.usage)

    async def keep(transcript: Transcript, cost: Nano) -> Commit:
        heard.append(transcript)
        work.row.text = transcript.text
        return work.done(cost, _told(transcript) | {"embedded": listener.embedded})

    row = await work.carry_out(spending, send, keep)
    command = heard[0].command
    if command is None or not propose:
        return row
    return await studio.errands.see_through(_proposed(studio, project, caller, row, command))


async def _proposed(
    studio: Studio, project: Project, caller: Caller, row: VoiceRequest, command: Command
) -> VoiceRequest:
    """Note with the request what became of its command."""
    proposal = await proposing.propose(studio, project, caller, command)
    async with studio.shop.db.write() as session:
        kept = await session.get_one(VoiceRequest, row.id)
        kept.data = {**kept.data, "proposal": proposal}
        _tell(session, kept, studio)
    return kept


def _check(lack: str | None) -> None:
    if lack is not None:
        raise CapabilityMissing(lack)


def _told(transcript: Transcript) -> dict[str, Any]:
    command = transcript.command
    said = None
    if command is not None:
        said = {"type": command.type, "parameters": dict(command.parameters)}
    return {
        "source": transcript.source,
        "confidence": transcript.confidence,
        "alternatives": list(transcript.alternatives),
        "command": said,
        "note": transcript.note,
    }


@dataclass
class _Work:
    """One request on its way: its row, its bytes, its end."""

    studio: Studio
    project: Project
    place: Place
    row: VoiceRequest
    call: Priced

    @classmethod
    async def begin(
        cls, studio: Studio, project: Project, kind: str, caller: Caller, call: Priced
    ) -> _Work:
        """Make the root ready, and sure that what is paid for can be stored."""
        place = studio.shop.place(await projects.root_of(studio, project.slug, None))
        await projects.at_root(studio, project.slug, place)
        free = await asyncio.to_thread(place.folders.free_bytes)
        if call.estimate > FREE and free < _ROOM_BYTES:
            raise StorageFull(
                f"Only {free // 1024**2} MiB are free under {str(place.folders.root)!r}, so "
                "nothing was sent or paid. Free some space, then ask again."
            )
        row = VoiceRequest(
            id=str(uuid4()),
            project_id=project.id,
            user_id=caller.user_id,
            kind=kind,
            state="running",
            data={},
            cost_nano=0,
            created_at=studio.shop.clock.now(),
        )
        return cls(studio, project, place, row, call)

    async def store(self, data: bytes, media_type: str) -> None:
        """Put the sound into the store; its row is for the caller to commit."""
        digest = digest_of(data)
        await self.place.storage.put(object_key(digest), data)
        self.row.audio_digest, self.row.audio_media_type = digest, media_type
        self.row.audio_bytes = len(data)

    async def carry_out(
        self,
        spending: Spending,
        send: Callable[[], Awaitable[tuple[Any, Bill]]],
        keep: Callable[[Any, Nano], Awaitable[Commit]],
    ) -> VoiceRequest:
        return await self.studio.errands.see_through(self._carry_out(spending, send, keep))

    async def _carry_out(
        self,
        spending: Spending,
        send: Callable[[], Awaitable[tuple[Any, Bill]]],
        keep: Callable[[Any, Nano], Awaitable[Commit]],
    ) -> VoiceRequest:
        """Write the request down, make the call, and write down how it ended."""
        async with self.studio.shop.db.alive(self.row.id):
            async with self.studio.shop.db.write() as session:
                if spending.claim is not None:
                    await idempotency.claim(session, spending.claim, f"voice:{self.row.id}")
                await self._save(session)
            unclaimed = replace(spending, claim=None)  # the key names the request
            try:
                await metering.metered(self.studio, self.project, self.call, unclaimed, send, keep)
            except Exception as error:
                await self._fail(error)
                raise
        return self.row

    def done(self, cost: Nano, data: dict[str, Any]) -> Commit:
        """Return the rows of a request that succeeded."""
        self.row.state, self.row.cost_nano, self.row.data = "succeeded", cost, data
        self.row.finished_at = self.studio.shop.clock.now()
        return self._save

    async def _fail(self, error: Exception) -> None:
        known = isinstance(error, MaquetteError)
        self.row.state, self.row.finished_at = "failed", self.studio.shop.clock.now()
        self.row.error_code = error.code if known else MaquetteError.code
        self.row.error_message = str(error) if known else f"{type(error).__name__}: {error}"
        async with self.studio.shop.db.write() as session:
            await self._save(session)

    async def _save(self, session: AsyncSession) -> None:
        now = self.studio.shop.clock.now()
        if self.row.audio_digest is not None:
            await insert_missing(session, Blob, [_blob(self.row) | {"created_at": now}])
        self.row = await session.merge(self.row)
        await session.flush()
        _tell(session, self.row, self.studio)


def _blob(row: VoiceRequest) -> dict[str, Any]:
    """Describe the sound as the store's rows do, so that checking and sweeping know of it."""
    return {
        "project_id": row.project_id,
        "digest": row.audio_digest,
        "media_type": row.audio_media_type,
        "size_bytes": row.audio_bytes,
        "width_px": 0,
        "height_px": 0,
        "has_alpha": False,
    }


def _tell(session: AsyncSession, row: VoiceRequest, studio: Studio) -> None:
    events.record(
        session,
        "voice_request",
        project_id=row.project_id,
        at=studio.shop.clock.now(),
        request=row.id,
        type=row.kind,
        state=row.state,
    )


async def say_aside(voices: Voices, wanted: Wanted) -> Spoken:
    """Say a text in no project: only what costs nothing, and nothing is recorded."""
    speaker = voices.speaker
    _check(speaker.missing())
    estimate = speaker.estimate(wanted.text)
    metering.check_free(Priced("speak", "speech", speaker.id, estimate))
    return await speaker.speak(wanted.text, wanted.voice, wanted.rate, wanted.form)


async def hear_aside(voices: Voices, data: bytes) -> Transcript:
    """Write a recording down in no project: only what costs nothing; nothing is recorded."""
    listener = voices.listener
    audio = Audio(data, sound_format(data).media_type)
    _check(listener.missing())
    metering.check_free(Priced("listen", "speech", listener.id, listener.estimate(audio)))
    return await listener.listen(audio)


async def show(studio: Studio, project_id: str, request_id: str) -> VoiceRequest:
    async with studio.shop.db.read() as session:
        return await talk.voice_in(session, project_id, request_id)


async def listing(
    studio: Studio, project_id: str, limit: int, before: str | None
) -> Sequence[VoiceRequest]:
    """Return a page of requests, newest first; `before` is the id of the last one seen."""
    async with studio.shop.db.read() as session:
        last = None if before is None else await talk.voice_in(session, project_id, before)
        cursor = None if last is None else (last.created_at, last.id)
        return await talk.voices(session, project_id, limit=limit, before=cursor)


async def sound(studio: Studio, project: Project, row: VoiceRequest) -> tuple[Storage, Stored]:
    """Say where the sound of a request lies."""
    if row.audio_digest is None:
        raise VoiceRequestNotFound(f"The voice request {row.id!r} has no sound; it is {row.state}.")
    storage = studio.shop.place(await projects.root_of(studio, project.slug, None)).storage
    return storage, await storage.head(object_key(Digest(row.audio_digest)))


async def put_in_order(studio: Studio) -> None:
    """End the requests of processes that died; what they may have cost, the ledger says."""
    async with studio.shop.db.read() as session:
        left = await talk.left_running(session)
    for row in left:
        async with studio.shop.db.alive(row.id) as gone:
            if gone:
                await _end_abandoned(studio, row)


async def _end_abandoned(studio: Studio, row: VoiceRequest) -> None:
    async with studio.shop.db.write() as session:
        kept = await session.get_one(VoiceRequest, row.id)
        if kept.state != "running":  # it ended just now
            return
        kept.state, kept.finished_at = "failed", studio.shop.clock.now()
        kept.error_code = "cancelled"
        kept.error_message = "The program stopped before it was done. Ask again."
        _tell(session, kept, studio)
