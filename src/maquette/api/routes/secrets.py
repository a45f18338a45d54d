"""A project's own keys for services: never shown, only their ends."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Path, Query, Response
from pydantic import BaseModel, Field, SecretStr

from maquette.api.contract import Responses, raises
from maquette.api.door import Admin, Editing, Owning
from maquette.api.house import TheStudio
from maquette.core.errors import (
    AlreadyExists,
    InvalidInput,
    SecretNotFound,
    SecretsLocked,
    StorageUnavailable,
)
from maquette.core.wanted import Wanted
from maquette.services import rotating, secrets
from maquette.services.secrets import SecretFacts

router = APIRouter(prefix="/api/projects/{slug}/secrets", tags=["secrets"])
installation = APIRouter(prefix="/api/secrets", tags=["secrets"])

WORD = r"^[a-z0-9][a-z0-9_-]{0,63}$"
Provider = Annotated[str, Path(pattern=WORD, description="Whose key it is.")]
Name = Annotated[str, Path(pattern=WORD, description="The secret's name.")]


class NewSecret(Wanted):
    """A key to be kept; it replaces the one of the same provider and name."""

    provider_code: Annotated[str, Field(pattern=WORD, examples=["s3"])]
    secret_name: Annotated[str, Field(pattern=WORD, examples=["secret_access_key"])]
    secret_value: Annotated[SecretStr, Field(min_length=1, max_length=secrets.LONGEST)]


class SecretDocument(BaseModel):
    """A secret as it may be seen."""

    provider_code: str
    secret_name: str
    environment_name: str = Field(description="What it is looked up before, for this project.")
    masked: str = Field(description="The last four characters of a long value.", examples=["…k3Qz"])
    problem: str | None = Field(default=None, description="Why it cannot be opened.")
    updated_at: datetime


class SecretPage(BaseModel):
    """A page of secrets, by provider and name."""

    items: list[SecretDocument]
    next: str | None = None


_REPLACED: Responses = {200: {"model": SecretDocument, "description": "It was replaced."}}


def _document(facts: SecretFacts) -> SecretDocument:
    return SecretDocument(
        provider_code=facts.provider,
        secret_name=facts.name,
        environment_name=facts.variable,
        masked=facts.masked,
        problem=facts.problem,
        updated_at=facts.updated_at,
    )


@router.get("", summary="List secrets, masked")
async def list_secrets(
    entry: Editing,
    studio: TheStudio,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    after: Annotated[
        str | None,
        Query(
            pattern=r"^[a-z0-9][a-z0-9_-]{0,63}/[a-z0-9][a-z0-9_-]{0,63}$",
            description="The `next` of the page before.",
        ),
    ] = None,
) -> SecretPage:
    """Return a page of the project's secrets; those who only look at it do not see them."""
    behind = None
    if after is not None:
        provider, _, name = after.partition("/")
        behind = provider, name
    found = await secrets.listing(studio, entry.project.id, limit, behind)
    last = f"{found[-1].provider}/{found[-1].name}" if len(found) == limit else None
    return SecretPage(items=[_document(one) for one in found], next=last)


@router.post(
    "",
    status_code=201,
    summary="Set a secret",
    responses=_REPLACED | raises(AlreadyExists, SecretsLocked),
)
async def set_secret(
    entry: Owning, studio: TheStudio, wanted: NewSecret, response: Response
) -> SecretDocument:
    """Seal a key and keep it for the project; the answer shows its end at most."""
    facts, new = await secrets.put(
        studio, entry.project.id, wanted.provider_code, wanted.secret_name, wanted.secret_value
    )
    response.status_code = 201 if new else 200
    return _document(facts)


@router.delete(
    "/{provider_code}/{secret_name}",
    status_code=204,
    summary="Remove a secret",
    responses=raises(SecretNotFound),
)
async def remove_secret(
    entry: Owning, studio: TheStudio, provider_code: Provider, secret_name: Name
) -> None:
    """Forget a key; the project's calls use the installation's from now on."""
    await secrets.remove(studio, entry.project.id, provider_code, secret_name)


class RotatedDocument(BaseModel):
    """What a rotation did."""

    key_id: str = Field(description="Names the new master key; it tells nothing about it.")
    secrets: int = Field(description="How many were sealed anew.")


@installation.post(
    "/rotate-key",
    summary="Replace the master key",
    responses=raises(InvalidInput, SecretsLocked, StorageUnavailable),
)
async def rotate_key(_caller: Admin, studio: TheStudio) -> RotatedDocument:
    """Seal every secret of every project anew; the old key stays beside the new one.

    A key that comes from the environment is replaced on the command line alone.
    """
    done = await rotating.rotate(studio)
    return RotatedDocument(key_id=done.key_id, secrets=done.secrets)
