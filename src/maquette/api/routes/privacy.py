"""One person's data: taken home, and erased."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, Field

from maquette.api.contract import raises
from maquette.api.door import Admin, Oneself, SignedIn
from maquette.api.house import TheStudio
from maquette.core.errors import StorageUnavailable, UserNotFound, WrongState
from maquette.services import privacy

router = APIRouter(prefix="/api/users", tags=["people"])

Name = Annotated[str, Path(min_length=1, max_length=64, description="What they sign in with.")]


class ErasedData(BaseModel):
    """What became of a person's data."""

    name: str = Field(description="What the account is called now; nobody can sign in to it.")
    uploads_purged: int
    uploads_kept: int = Field(description="Pictures were made from them; they have no sender now.")
    recordings_deleted: int


@router.get(
    "/me/data",
    summary="Take one's own data home",
    response_class=StreamingResponse,
    responses={
        200: {
            "description": "A ZIP: lists in JSON, and the pictures that you uploaded.",
            "content": {"application/zip": {"schema": {"type": "string", "format": "binary"}}},
        }
    },
)
async def export_own_data(caller: SignedIn, studio: TheStudio) -> StreamingResponse:
    """Stream all that is known of the caller: what they said, began and uploaded."""
    return StreamingResponse(
        privacy.archive(studio, caller.name),
        media_type="application/zip",
        headers={"Content-Disposition": 'attachment; filename="maquette-data.zip"'},
    )


@router.delete(
    "/me/data",
    summary="Erase one's own data",
    responses=raises(WrongState, StorageUnavailable),
)
async def erase_own_data(caller: Oneself, studio: TheStudio) -> ErasedData:
    """Erase oneself: uploads, words, keys and the name."""
    return _document(await privacy.erase(studio, caller.name))


@router.delete(
    "/{name}/data",
    summary="Erase a person's data",
    responses=raises(UserNotFound, WrongState, StorageUnavailable),
)
async def erase_data(_caller: Admin, studio: TheStudio, name: Name) -> ErasedData:
    """Erase anybody: uploads, words, keys and the name."""
    return _document(await privacy.erase(studio, name))


def _document(done: privacy.Erased) -> ErasedData:
    return ErasedData(
        name=done.name,
        uploads_purged=done.uploads_purged,
        uploads_kept=done.uploads_kept,
        recordings_deleted=done.recordings_deleted,
    )
