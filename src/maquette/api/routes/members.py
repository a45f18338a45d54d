"""Who is a member of a project."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import BaseModel

from maquette.api.contract import raises
from maquette.api.door import Owning, Viewing
from maquette.api.house import TheStudio
from maquette.core.errors import UserNotFound, WrongState
from maquette.core.people import ProjectRole
from maquette.core.wanted import Wanted
from maquette.services import members
from maquette.services.members import Member
from maquette.services.people import NAME

router = APIRouter(prefix="/api/projects/{slug}/members", tags=["people"])

PersonName = Annotated[str, Path(pattern=NAME, description="The person's name.")]


class NewRole(Wanted):
    """What a person is to be in the project."""

    role: ProjectRole


class MemberDocument(BaseModel):
    """A person in the project."""

    name: str
    role: ProjectRole
    since: datetime


class MemberList(BaseModel):
    """All members, by name."""

    items: list[MemberDocument]
    next: None = None


@router.get("", summary="List a project's members")
async def list_members(entry: Viewing, studio: TheStudio) -> MemberList:
    """Return all members by name; administrators need be none."""
    found = await members.listing(studio, entry.project.id)
    return MemberList(items=[_document(one) for one in found])


@router.put("/{name}", summary="Make a person a member", responses=raises(UserNotFound, WrongState))
async def set_member(
    entry: Owning, studio: TheStudio, name: PersonName, wanted: NewRole
) -> MemberDocument:
    """Take a person in, or change what they are; the last owner stays one."""
    return _document(await members.set_role(studio, entry.project.id, name, wanted.role))


@router.delete(
    "/{name}",
    status_code=204,
    summary="Let a member go",
    responses=raises(UserNotFound, WrongState),
)
async def remove_member(entry: Owning, studio: TheStudio, name: PersonName) -> None:
    """Take a person out of the project; the last owner stays."""
    await members.remove(studio, entry.project.id, name)


def _document(member: Member) -> MemberDocument:
    return MemberDocument(name=member.name, role=member.role, since=member.since)
