"""API keys: for programs, until they are revoked."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, Field

from maquette.api.contract import raises
from maquette.api.door import Oneself, SignedIn
from maquette.api.house import TheStudio
from maquette.core.errors import NotFound
from maquette.core.people import Scope
from maquette.core.wanted import Wanted
from maquette.services import keys
from maquette.services.keys import Key

router = APIRouter(prefix="/api/keys", tags=["people"])

KeyId = Annotated[str, Path(max_length=36, pattern=r"^[A-Za-z0-9-]+$")]
Limit = Annotated[int, Query(ge=1, le=200)]
After = Annotated[
    str | None,
    Query(max_length=36, pattern=r"^[A-Za-z0-9-]+$", description="The `next` of the page before."),
]


class NewKey(Wanted):
    """A key to be made."""

    name: Annotated[
        str, Field(min_length=1, max_length=120, pattern=r"^[^\x00]*$", examples=["backup job"])
    ]
    scopes: Annotated[list[Scope], Field(min_length=1, max_length=8)]
    days: Annotated[int | None, Field(ge=1, le=3650)] = None
    """How long it is valid; null: until it is revoked."""


class KeyDocument(BaseModel):
    """A key, without its secret part."""

    id: str
    name: str
    prefix: str
    """Its first characters, by which a person knows it again."""
    scopes: list[Scope]
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    """To about a minute."""


class MadeKey(KeyDocument):
    """A new key with its text, which is not shown again."""

    key: str


class KeyPage(BaseModel):
    """A page of keys, newest first."""

    items: list[KeyDocument]
    next: str | None = None


@router.get("", summary="List one's own keys")
async def list_keys(
    caller: SignedIn, studio: TheStudio, limit: Limit = 50, after: After = None
) -> KeyPage:
    """Return a page of the caller's keys, newest first, without those that were revoked."""
    return page_of(await keys.listing(studio, caller.name, limit, after), limit)


@router.post("", status_code=201, summary="Make a key")
async def make_key(caller: Oneself, studio: TheStudio, wanted: NewKey) -> MadeKey:
    """Make a key that allows no more than the caller may; its text is shown this once."""
    made, text = await keys.make(studio, caller, wanted.name, wanted.scopes, wanted.days)
    return MadeKey(**document(made).model_dump(), key=text)


@router.delete("/{key_id}", status_code=204, summary="Revoke a key", responses=raises(NotFound))
async def revoke_key(caller: Oneself, studio: TheStudio, key_id: KeyId) -> None:
    """End a key of one's own at once; an administrator may end anybody's."""
    await keys.revoke(studio, key_id, caller)


def document(key: Key) -> KeyDocument:
    """Translate a key."""
    return KeyDocument(
        id=key.id,
        name=key.name,
        prefix=key.prefix,
        scopes=list(key.scopes),
        created_at=key.created_at,
        expires_at=key.expires_at,
        last_used_at=key.last_used_at,
    )


def page_of(found: Sequence[Key], limit: int) -> KeyPage:
    """Translate a page."""
    items = [document(one) for one in found]
    return KeyPage(items=items, next=items[-1].id if len(items) == limit else None)
