"""Resumable uploads by tus 1.0, with five of its extensions."""

from __future__ import annotations

import base64
import binascii
import logging
from collections.abc import Callable, Coroutine
from email.utils import format_datetime
from typing import Annotated, Any

from fastapi import APIRouter, Header, Path, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute

from maquette.api import multipart, problems
from maquette.api.contract import Responses, raises
from maquette.api.door import Anybody, Editing, Entry, Slug
from maquette.api.house import House, TheHouse
from maquette.api.routes.uploads import BECOMING, checked_form
from maquette.core import errors as e
from maquette.services import resuming
from maquette.services.resuming import Desk, Progress

VERSION = "1.0.0"
EXTENSIONS = "creation,creation-with-upload,termination,expiration,checksum"
_BODY_KIND = "application/offset+octet-stream"
_KNOWN = {"filename", "name", "consent", "strip", "strip_metadata", "kind", "tags"}
_TOLD_ANYWAY = {"filetype", "type", "relativePath"}
"""What common clients add: the file's content says better what it is."""
log = logging.getLogger(__name__)


class TusRoute(APIRoute):
    """Names the protocol's version in every reply, in those that refuse something too."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        plain = super().get_route_handler()

        async def told(request: Request) -> Response:
            try:
                reply = await plain(request)
            except e.MaquetteError as error:
                if problems.status_of(type(error)) >= 500:
                    log.warning("an upload failed: %s: %s", error.code, error)
                reply = problems.response(error, request.url.path)
            except RequestValidationError as error:
                first = error.errors()[0]
                problem = e.BadParameter(f"{first['loc'][-1]} cannot be used: {first['msg']}.")
                reply = problems.response(problem, request.url.path)
            reply.headers["Tus-Resumable"] = VERSION
            if reply.status_code == 412:
                reply.headers["Tus-Version"] = VERSION
            return reply

        return told


router = APIRouter(prefix="/api/projects/{slug}/uploads", tags=["uploads"], route_class=TusRoute)

UploadId = Annotated[
    str, Path(description="Of the `Location` that creating gave.", pattern=r"^[0-9a-f-]{36}$")
]
Version = Annotated[
    str | None, Header(alias="Tus-Resumable", max_length=20, description=f"`{VERSION}`.")
]
Length = Annotated[int, Header(alias="Upload-Length", ge=1, le=2**40)]
Offset = Annotated[int, Header(alias="Upload-Offset", ge=0, le=2**40)]
Metadata = Annotated[
    str | None,
    Header(
        alias="Upload-Metadata",
        max_length=16_000,
        description="`filename`, `consent`, `strip` (true or false), `kind`, `tags`, each followed "
        "by a space and its value in base64; commas between them.",
    ),
]
Sum = Annotated[
    str | None,
    Header(
        alias="Upload-Checksum",
        max_length=200,
        description="`sha256` or `sha1`, a space, the digest of this request's bytes in base64.",
    ),
]


def _body(*, required: bool) -> dict[str, Any]:
    content = {_BODY_KIND: {"schema": {"type": "string", "format": "binary"}}}
    return {"requestBody": {"required": required, "content": content}}


def _replies(status: int, words: str, *names: str) -> Responses:
    headers = {name: {"schema": {"type": "string"}} for name in ("Tus-Resumable", *names)}
    return {status: {"description": words, "headers": headers}}


_WRITING = (
    e.RequestTooLarge,
    e.UnsupportedMedia,
    e.TooManyRequests,
    e.RequestTimedOut,
    e.ProtocolUnsupported,
    e.ChecksumMismatch,
    e.StillWorking,
    e.WrongState,
    e.UploadNotFound,
    *BECOMING,
)
_PROGRESS = ("Upload-Offset", "Upload-Expires", "Upload-Asset")
_ABILITIES = _replies(204, "In the headers.", "Tus-Version", "Tus-Extension", "Tus-Max-Size")


def _abilities(house: House) -> Response:
    return Response(
        status_code=204,
        headers={
            "Tus-Version": VERSION,
            "Tus-Extension": EXTENSIONS,
            "Tus-Max-Size": str(house.rules.upload_bytes),
            "Tus-Checksum-Algorithm": ",".join(resuming.CHECKSUMS),
        },
    )


@router.options(
    "",
    status_code=204,
    summary="Tell what resumable uploads can do",
    dependencies=[Anybody],
    responses=_ABILITIES,
)
async def abilities(slug: Slug, house: TheHouse) -> Response:  # noqa: ARG001 - the address has it
    """Name the protocol's version, the extensions and the largest file."""
    return _abilities(house)


@router.options(
    "/{upload_id}",
    status_code=204,
    summary="Tell what a resumable upload can do",
    dependencies=[Anybody],
    responses=_ABILITIES,
)
async def upload_abilities(
    slug: Slug,  # noqa: ARG001 - the address has it
    upload_id: UploadId,  # noqa: ARG001 - as above
    house: TheHouse,
) -> Response:
    """Do as without an id."""
    return _abilities(house)


@router.post(
    "",
    status_code=201,
    summary="Begin a resumable upload",
    openapi_extra=_body(required=False),
    responses=_replies(201, "Begun, at `Location`.", "Location", *_PROGRESS) | raises(*_WRITING),
    response_class=Response,
)
async def begin_upload(
    entry: Editing,
    house: TheHouse,
    request: Request,
    length: Length,
    version: Version = None,
    metadata: Metadata = None,
    checksum: Sum = None,
) -> Response:
    """Promise a file of a known length; a body holds its first bytes, or all of them."""
    _check_version(version)
    desk = _desk(entry, house)
    name, fields = _metadata(metadata or "")
    wanted = checked_form(fields).wishes()
    kind = request.headers.get("content-type")
    if kind is not None or _has_body(request):
        _check_kind(kind)
    made = await resuming.begin(desk, length, name, wanted, house.rules.upload_bytes)
    if _has_body(request):
        made = await _written(desk, house, request, made.id, 0, checksum)
    reply = _reply(201, made)
    reply.headers["Location"] = f"/api/projects/{entry.slug}/uploads/{made.id}"
    return reply


@router.head(
    "/{upload_id}",
    summary="Ask how far a resumable upload is",
    responses=_replies(200, "In the headers.", "Upload-Length", *_PROGRESS)
    | raises(e.UploadNotFound, e.ProtocolUnsupported, e.Conflict, e.StorageUnavailable),
    response_class=Response,
)
async def look_at_upload(
    entry: Editing, house: TheHouse, upload_id: UploadId, version: Version = None
) -> Response:
    """Tell the offset from which to go on, and the asset where it has become one."""
    _check_version(version)
    found = await resuming.look(_desk(entry, house), upload_id)
    reply = _reply(200, found)
    reply.headers["Upload-Length"] = str(found.size_bytes)
    return reply


@router.patch(
    "/{upload_id}",
    status_code=204,
    summary="Go on with a resumable upload",
    openapi_extra=_body(required=True),
    responses=_replies(204, "Taken.", *_PROGRESS) | raises(*_WRITING),
    response_class=Response,
)
async def continue_upload(
    entry: Editing,
    house: TheHouse,
    request: Request,
    upload_id: UploadId,
    offset: Offset,
    version: Version = None,
    checksum: Sum = None,
) -> Response:
    """Take the bytes from the offset on; the last ones make the asset, `Upload-Asset`."""
    _check_version(version)
    _check_kind(request.headers.get("content-type"))
    desk = _desk(entry, house)
    return _reply(204, await _written(desk, house, request, upload_id, offset, checksum))


@router.delete(
    "/{upload_id}",
    status_code=204,
    summary="Give a resumable upload up",
    responses=_replies(204, "Given up.")
    | raises(
        e.UploadNotFound, e.ProtocolUnsupported, e.StillWorking, e.Conflict, e.StorageUnavailable
    ),
    response_class=Response,
)
async def forget_upload(
    entry: Editing, house: TheHouse, upload_id: UploadId, version: Version = None
) -> Response:
    """Delete what came of it; an asset that it became already stays."""
    _check_version(version)
    await resuming.forget(_desk(entry, house), upload_id)
    return Response(status_code=204)


async def _written(
    desk: Desk, house: House, request: Request, upload_id: str, offset: int, checksum: str | None
) -> Progress:
    async with (
        multipart.slot(house),
        resuming.writing(desk, upload_id, offset, _checksum(checksum)) as writing,
    ):
        async for piece in multipart.pieces(request, house):
            await writing.write(piece)
        return await writing.end(house.rules.upload_bytes)


def _desk(entry: Entry, house: House) -> Desk:
    return Desk(house.studio, entry.project, entry.caller)


def _reply(status: int, progress: Progress) -> Response:
    reply = Response(status_code=status)
    reply.headers["Upload-Offset"] = str(progress.offset_bytes)
    reply.headers["Upload-Expires"] = format_datetime(progress.expires_at, usegmt=True)
    if progress.asset_id is not None:
        reply.headers["Upload-Asset"] = progress.asset_id
    return reply


def _check_version(version: str | None) -> None:
    if version != VERSION:
        raise e.ProtocolUnsupported(
            f"Tus-Resumable is {version!r}; this server speaks {VERSION}. Send that in the header."
        )


def _check_kind(kind: str | None) -> None:
    if kind != _BODY_KIND:
        raise e.UnsupportedMedia(f"Send the bytes as {_BODY_KIND}, in Content-Type.")


def _has_body(request: Request) -> bool:
    length = request.headers.get("content-length", "0")
    return length != "0" or "transfer-encoding" in request.headers


def _metadata(text: str) -> tuple[str, dict[str, str]]:
    """Read `Upload-Metadata`; return the file's name and what is said of it."""
    told: dict[str, str] = {}
    for pair in text.split(","):
        name, _, value = pair.strip().partition(" ")
        if not name:
            continue
        if name not in _KNOWN | _TOLD_ANYWAY:
            raise e.BadParameter(
                f"Upload-Metadata has {name!r}; it may have {', '.join(sorted(_KNOWN))}."
            )
        if name in told:
            raise e.BadParameter(f"Upload-Metadata has {name!r} twice; send it once.")
        told[name] = multipart.plain_text(_base64(value, name), name)
    given = told.get("filename") or told.get("name") or "picture"
    fields = {name: told[name] for name in ("consent", "kind", "tags") if told.get(name)}
    strip = told.get("strip") or told.get("strip_metadata")
    if strip:
        fields["strip_metadata"] = strip
    return given, fields


def _checksum(text: str | None) -> resuming.Checksum | None:
    if text is None:
        return None
    algorithm, _, digest = text.partition(" ")
    return resuming.checksum_of(algorithm, _base64(digest, "Upload-Checksum"))


def _base64(text: str, what: str) -> bytes:
    try:
        return base64.b64decode(text.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError):
        raise e.BadParameter(f"{what!r} is not in base64; encode its value.") from None
