"""Pictures that people send in one request."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel, BeforeValidator, Field, ValidationError

from maquette.api import multipart
from maquette.api.contract import raises
from maquette.api.door import Editing
from maquette.api.house import TheHouse
from maquette.core import errors as e
from maquette.services import uploading
from maquette.services.uploading import Uploaded, Wishes

router = APIRouter(prefix="/api/projects/{slug}", tags=["uploads"])

Tag = Annotated[str, Field(min_length=1, max_length=64)]


def _listed(value: object) -> object:
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    return value


class UploadForm(BaseModel, extra="forbid"):
    """What is said of all files of the request."""

    kind: Literal["source", "reference"] = "source"
    consent: Annotated[str, Field(min_length=1, max_length=2000)] | None = None
    strip_metadata: bool = False
    tags: Annotated[list[Tag], BeforeValidator(_listed)] = Field([], max_length=20)

    def wishes(self) -> Wishes:
        return Wishes(self.kind, self.consent, self.strip_metadata, tuple(self.tags))


class UploadedAsset(BaseModel):
    """A picture that was taken in."""

    id: str
    name: str
    kind: str
    media_type: str
    width: int
    height: int
    size_bytes: int
    sha256: str
    duplicate_of: str | None = Field(
        default=None, description="The first asset of the project with the same bytes."
    )


def document(one: Uploaded) -> UploadedAsset:
    return UploadedAsset(
        id=one.id,
        name=one.name,
        kind=one.kind,
        media_type=one.media_type,
        width=one.width_px,
        height=one.height_px,
        size_bytes=one.size_bytes,
        sha256=one.sha256,
        duplicate_of=one.duplicate_of,
    )


def checked_form(fields: dict[str, Any]) -> UploadForm:
    """Check what a form or a resumable upload's metadata says."""
    try:
        return UploadForm.model_validate(fields)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        raise e.BadParameter(f"{name} cannot be used: {first['msg']}.") from None


_PROPERTIES: dict[str, Any] = {
    "file": {
        "type": "array",
        "minItems": 1,
        "maxItems": 32,
        "items": {"type": "string", "contentMediaType": "application/octet-stream"},
        "description": "PNG, JPEG, WebP, AVIF, TIFF, GIF or BMP; told by its content.",
    },
    "kind": {"type": "string", "enum": ["source", "reference"], "default": "source"},
    "consent": {
        "type": "string",
        "minLength": 1,
        "maxLength": 2000,
        "description": "What you declare: that the people shown agree, that the picture is yours.",
    },
    "strip_metadata": {
        "type": "boolean",
        "default": False,
        "description": "Remove EXIF with the place, XMP, IPTC, comments; the pixels stay as sent.",
    },
    "tags": {"type": "string", "description": "Words, with commas between them."},
}
_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "additionalProperties": False,
                    "properties": _PROPERTIES,
                }
            }
        },
    }
}
BECOMING = (
    e.UnsupportedImage,
    e.ImageTooLarge,
    e.CapabilityMissing,
    e.QuotaExceeded,
    e.OperationCrashed,
    e.OperationTimedOut,
    e.StorageUnavailable,
    e.StorageFull,
    e.Conflict,
    e.UnsafePath,
)
"""What may be wrong with a picture, or with the place where it should lie."""


@router.post(
    "/assets",
    status_code=201,
    summary="Upload pictures",
    openapi_extra=_BODY,
    responses=raises(
        e.RequestTooLarge, e.UnsupportedMedia, e.TooManyRequests, e.RequestTimedOut, *BECOMING
    ),
)
async def upload_assets(entry: Editing, house: TheHouse, request: Request) -> list[UploadedAsset]:
    """Take in one or more pictures: all of them become assets, or none does."""
    known = frozenset(UploadForm.model_fields)
    async with (
        multipart.slot(house),
        uploading.intake(
            house.studio, entry.project, entry.caller, house.rules.upload_bytes
        ) as intake,
    ):
        fields = await multipart.receive(request, house, intake, multipart.Parts(known))
        made = await intake.finish(checked_form(dict(fields)).wishes())
    return [document(one) for one in made]
