"""Accounts, for administrators."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, Field

from maquette.api.contract import raises
from maquette.api.door import Admin
from maquette.api.house import TheStudio
from maquette.api.routes.auth import NewPassword
from maquette.api.routes.keys import After, KeyPage, Limit, page_of
from maquette.core import money
from maquette.core.errors import AlreadyExists, BadParameter, UserNotFound, WrongState
from maquette.core.money import Usd
from maquette.core.people import Role
from maquette.core.wanted import Wanted
from maquette.services import keys, people
from maquette.services.people import NAME, Change, Person

router = APIRouter(prefix="/api/users", tags=["people"])

PersonName = Annotated[str, Path(pattern=NAME, description="The person's name.")]
Amount = Annotated[str, Field(pattern=r"^[0-9]{1,9}(\.[0-9]{1,9})?$", examples=["25.00"])]
Quota = Annotated[int, Field(ge=0, le=2**63 - 1)]


class Account(Wanted):
    """What can be set of an account."""

    verified: bool | None = None
    quota_bytes: Quota | None = None
    """The most that the person's uploads may hold; null: no ceiling."""
    spend_cap_usd: Amount | None = None
    """The most that the person's runs may cost; null: no cap of their own."""
    password: NewPassword | None = None


class NewUser(Account):
    """An account to be made; without a password nobody can sign in to it yet."""

    name: Annotated[str, Field(pattern=NAME, examples=["ann"])]
    role: Role


class UserChange(Account):
    """What is to change; members that are left out stay as they are."""

    role: Role | None = None
    disabled: bool | None = None


class UserDocument(BaseModel):
    """An account."""

    name: str
    role: Role
    disabled: bool
    verified: bool
    has_password: bool
    quota_bytes: int | None
    spend_cap_usd: str | None
    spent_usd: str
    held_usd: str
    created_at: datetime


class UserPage(BaseModel):
    """A page of accounts by name."""

    items: list[UserDocument]
    next: str | None = None


@router.get("", summary="List the accounts")
async def list_users(
    _caller: Admin,
    studio: TheStudio,
    limit: Limit = 50,
    after: Annotated[
        str, Query(pattern=r"^[a-z0-9_-]{0,40}$", description="The `next` of the page before.")
    ] = "",
) -> UserPage:
    """Return a page of accounts by name, disabled ones too."""
    items = [_document(one) for one in await people.listing(studio, limit, after)]
    return UserPage(items=items, next=items[-1].name if len(items) == limit else None)


@router.post(
    "", status_code=201, summary="Make an account", responses=raises(AlreadyExists, BadParameter)
)
async def create_user(_caller: Admin, studio: TheStudio, wanted: NewUser) -> UserDocument:
    """Make an account; the person can change the password that is set here."""
    return _document(await people.create(studio, wanted.name, wanted.role, _change(wanted)))


@router.get("/{name}", summary="Show an account", responses=raises(UserNotFound))
async def show_user(_caller: Admin, studio: TheStudio, name: PersonName) -> UserDocument:
    """Return one account with what it may spend and has spent."""
    return _document(await people.show(studio, name))


@router.patch("/{name}", summary="Change an account", responses=raises(UserNotFound, WrongState))
async def change_user(
    _caller: Admin, studio: TheStudio, name: PersonName, wanted: UserChange
) -> UserDocument:
    """Change what is named; a new password, or disabling, ends all that the person has open."""
    change = _change(wanted, wanted.role, wanted.disabled)
    return _document(await people.change(studio, name, change))


@router.delete("/{name}", summary="Disable an account", responses=raises(UserNotFound, WrongState))
async def disable_user(_caller: Admin, studio: TheStudio, name: PersonName) -> UserDocument:
    """End all that the person has open; what they made stays, and they can be enabled again."""
    return _document(await people.change(studio, name, Change(disabled=True)))


@router.get("/{name}/keys", summary="List a person's keys", responses=raises(UserNotFound))
async def list_users_keys(
    _caller: Admin, studio: TheStudio, name: PersonName, limit: Limit = 50, after: After = None
) -> KeyPage:
    """Return a page of somebody's keys, newest first, without those that were revoked."""
    return page_of(await keys.listing(studio, name, limit, after), limit)


def _change(
    wanted: Account,
    role: Role | None = None,
    disabled: bool | None = None,  # noqa: FBT001 - as in the document
) -> Change:
    """Translate; a member that is null takes its ceiling away, one that is absent leaves it."""
    given = wanted.model_fields_set
    cap = None if wanted.spend_cap_usd is None else Usd(Decimal(wanted.spend_cap_usd))
    return Change(
        role=role,
        disabled=disabled,
        verified=wanted.verified,
        password=wanted.password,
        quota_bytes=(wanted.quota_bytes,) if "quota_bytes" in given else None,
        spend_cap=(cap,) if "spend_cap_usd" in given else None,
    )


def _document(person: Person) -> UserDocument:
    cap = person.spend_cap
    return UserDocument(
        name=person.name,
        role=person.role,
        disabled=person.disabled,
        verified=person.verified,
        has_password=person.has_password,
        quota_bytes=person.quota_bytes,
        spend_cap_usd=None if cap is None else _dollars(cap),
        spent_usd=_dollars(person.spent),
        held_usd=_dollars(person.held),
        created_at=person.created_at,
    )


def _dollars(amount: Usd) -> str:
    return money.show(amount).removeprefix("$")
