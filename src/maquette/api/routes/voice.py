"""Speech heard and spoken, with its sound kept."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal, Self

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import BaseModel, Field

from maquette.api import files, hearing, once
from maquette.api.claims import ONCE_ERRORS, MadeBefore, TheClaim, TheKey
from maquette.api.contract import Responses, raises
from maquette.api.door import Editing, Entry, Viewing
from maquette.api.house import TheHouse, TheStudio
from maquette.api.permission import Permission
from maquette.core import errors as e
from maquette.core import money
from maquette.core.speech import FASTEST, MOST_CHARACTERS, SLOWEST
from maquette.db.idempotency import Claim
from maquette.db.tables import VoiceRequest
from maquette.services import voices
from maquette.services.studio import Studio

router = APIRouter(prefix="/api/projects/{slug}/voice", tags=["voice"])

RequestId = Annotated[str, Path(max_length=36, pattern=r"^[A-Za-z0-9-]+$")]


class NewSpeech(Permission, extra="forbid"):
    """A text to be spoken."""

    text: Annotated[str, Field(min_length=1, max_length=MOST_CHARACTERS, examples=["It is done."])]
    voice: Annotated[str, Field(max_length=200)] = ""
    """By its id; empty: the default one."""
    rate: Annotated[float, Field(ge=SLOWEST, le=FASTEST, allow_inf_nan=False)] = 1.0
    """Times the usual speed."""
    format: Literal["wav", "mp3", "flac", "opus"] | None = None
    """Unset: what the voice speaks by itself."""


class CommandDocument(BaseModel):
    """What a sentence asks for; to ask is all that it does."""

    type: str
    parameters: dict[str, str | int]


class SpokenProposal(BaseModel):
    """What became of a command: an instruction that waits, or the reason why not."""

    instruction_type: str
    id: str | None = None
    """Of the instruction, which waits for confirmation."""
    payload_json: dict[str, Any] = {}
    refers_to: str | None = None
    """The instruction that a spoken `confirm` may have meant."""
    problem: str | None = None


class VoiceDocument(BaseModel):
    """A request to speak (`tts`) or to listen (`stt`)."""

    id: str
    kind: Literal["stt", "tts"]
    state: Literal["running", "succeeded", "failed"]
    text: str | None
    """What was heard, or was to be said; empty where nothing could be made out."""
    audio_url: str | None
    audio_media_type: str | None
    audio_bytes: int | None
    source: str | None = None
    """The model, or `embedded`."""
    voice: str | None = None
    confidence: float | None = None
    alternatives: list[str] = []
    command: CommandDocument | None = None
    proposal: SpokenProposal | None = None
    note: str = ""
    cost_usd: str
    error_code: str | None
    error_message: str | None
    created_at: datetime
    finished_at: datetime | None

    @classmethod
    def of(cls, slug: str, row: VoiceRequest) -> Self:
        """Describe a row."""
        data = row.data
        where = f"/api/projects/{slug}/voice/requests/{row.id}/audio"
        return cls.model_validate(
            {
                "id": row.id,
                "kind": row.kind,
                "state": row.state,
                "text": row.text,
                "audio_url": None if row.audio_digest is None else where,
                "audio_media_type": row.audio_media_type,
                "audio_bytes": row.audio_bytes,
                "source": data.get("source"),
                "voice": data.get("voice"),
                "confidence": data.get("confidence"),
                "alternatives": data.get("alternatives", []),
                "command": data.get("command"),
                "proposal": data.get("proposal"),
                "note": data.get("note", ""),
                "cost_usd": str(money.from_nano(row.cost_nano)),
                "error_code": row.error_code,
                "error_message": row.error_message,
                "created_at": row.created_at,
                "finished_at": row.finished_at,
            }
        )


class VoicePage(BaseModel):
    """A page of voice requests, newest first."""

    items: list[VoiceDocument]
    next: str | None = None


_CALLING: Responses = raises(
    e.CapabilityMissing,
    e.SpendRefused,
    e.ProviderError,
    e.ProviderRefused,
    e.ProviderUnavailable,
    e.OperationFailed,
    e.OperationTimedOut,
    e.StorageUnavailable,
    e.StorageFull,
    e.Conflict,
    *ONCE_ERRORS,
    e.RequestTimedOut,
)
_SOUND = {"schema": {"type": "string", "format": "binary"}}
_SENT: Responses = {
    200: {"description": "The sound.", "content": {"audio/*": _SOUND}},
    206: {"description": "The part that was asked for.", "content": {"audio/*": _SOUND}},
    304: {"description": "The caller has it already."},
}


@router.post("/tts", status_code=201, summary="Speak a text", responses=_CALLING)
async def speak(
    entry: Editing, studio: TheStudio, wanted: NewSpeech, claim: TheClaim, made: MadeBefore
) -> VoiceDocument:
    """Speak a text and keep the sound; without a service, the embedded voice speaks."""
    if made is not None:
        return await _made(entry, studio, made)
    said = voices.Wanted(wanted.text, wanted.voice, wanted.rate, wanted.format or "")
    spending = wanted.spending(entry, claim)
    row = await voices.speak(studio, entry.project, entry.caller, said, spending)
    return VoiceDocument.of(entry.slug, row)


@router.post(
    "/stt",
    status_code=201,
    summary="Write a recording down",
    openapi_extra=hearing.BODY,
    response_model=VoiceDocument,
    responses=_CALLING
    | raises(e.RequestTooLarge, e.UnsupportedMedia, e.TooManyRequests, e.Forbidden),
)
async def listen(
    entry: Editing, house: TheHouse, request: Request, key: TheKey = None
) -> VoiceDocument | Response:
    """Write down what is said and keep the recording; a command may become a proposal.

    Without a service, the embedded listener takes PCM WAV and knows a few English commands only.
    """
    recording = await hearing.received(request, house)
    claim = None if key is None else Claim(entry.caller.key, key)

    async def heard(made: str | None) -> VoiceDocument:
        if made is not None:
            return await _made(entry, house.studio, made)
        row = await voices.listen(
            house.studio,
            entry.project,
            entry.caller,
            recording.data,
            recording.wishes.spending(entry, claim),
            propose=recording.wishes.propose,
        )
        return VoiceDocument.of(entry.slug, row)

    if claim is None:
        return await heard(None)
    return await once.answer(request, house, claim, recording.digest, heard)


async def _made(entry: Entry, studio: Studio, made: str) -> VoiceDocument:
    """Show what an earlier try of the request has made."""
    row = await voices.show(studio, entry.project.id, made.partition(":")[2])
    return VoiceDocument.of(entry.slug, row)


@router.get("/requests", summary="List voice requests", responses=raises(e.VoiceRequestNotFound))
async def list_requests(
    entry: Viewing,
    studio: TheStudio,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    before: Annotated[
        str | None, Query(max_length=36, description="`next` of the page that came before.")
    ] = None,
) -> VoicePage:
    """Return a page of what was heard and said, newest first."""
    found = await voices.listing(studio, entry.project.id, limit, before)
    items = [VoiceDocument.of(entry.slug, one) for one in found]
    return VoicePage(items=items, next=items[-1].id if len(items) == limit else None)


@router.get(
    "/requests/{request_id}",
    summary="Show a voice request",
    responses=raises(e.VoiceRequestNotFound),
)
async def show_request(entry: Viewing, studio: TheStudio, request_id: RequestId) -> VoiceDocument:
    """Return one request."""
    row = await voices.show(studio, entry.project.id, request_id)
    return VoiceDocument.of(entry.slug, row)


@router.get(
    "/requests/{request_id}/audio",
    summary="Hear a voice request",
    response_class=Response,
    responses=_SENT
    | raises(
        e.VoiceRequestNotFound, e.ObjectNotFound, e.RangeOutside, e.Conflict, e.StorageUnavailable
    ),
)
async def hear_request(
    entry: Viewing,
    studio: TheStudio,
    request_id: RequestId,
    *,
    if_none_match: files.IfNoneMatch = None,
    if_range: files.IfRange = None,
    range: files.Range = None,  # noqa: A002 - the header's name
) -> Response:
    """Send the sound that was recorded or spoken, or a part of it."""
    row = await voices.show(studio, entry.project.id, request_id)
    found = await voices.sound(studio, entry.project, row)

    async def find() -> files.Found:
        return found

    kind = row.audio_media_type or "application/octet-stream"
    what = files.Sending(found[1].key.rpartition("/")[2], kind)
    return await files.send(files.Asked(if_none_match, if_range, range), what, find)
