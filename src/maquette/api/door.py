"""Who may come in: every route has one door, which states what it needs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, cast

from fastapi import Depends, Header, Path
from starlette.requests import HTTPConnection

from maquette.api import credentials
from maquette.api.house import House, TheHouse
from maquette.core.errors import Forbidden, ProjectNotFound
from maquette.core.people import Caller, Needs, Scope, may
from maquette.db.tables import Project
from maquette.services import members, projects

Slug = Annotated[
    str, Path(description="The project's slug.", pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")
]

PROJECT = "X-Maquette-Project"
ProjectHeader = Annotated[
    str | None,
    Header(
        alias=PROJECT,
        description="The slug of the project to work in; without it, the caller's own.",
        pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$",
    ),
]

_SCOPE = {
    Needs.NOTHING: Scope.READ,
    Needs.SIGNED_IN: Scope.READ,
    Needs.PROJECT_VIEWER: Scope.READ,
    Needs.ADMIN: Scope.ADMIN,
}


@dataclass(frozen=True)
class Entry:
    """A caller who was let into a project."""

    caller: Caller
    project: Project

    @property
    def slug(self) -> str:
        return self.project.slug


class Door:
    """Lets in who has the role and whose credential has the scope."""

    def __init__(self, needs: Needs, scope: Scope | None = None, *, counts: bool = True) -> None:
        self.needs = needs
        self.counts = counts
        """Whether requests count against the caller's limit."""
        self.scope = scope or _SCOPE.get(needs, Scope.WRITE)

    async def caller(self, connection: HTTPConnection, house: House) -> Caller:
        """Return who asks, counted against their limit."""
        found = await credentials.identify(connection, house)
        address = connection.client.host if connection.client else "unknown"
        who = address if found is None else found.key
        if self.counts:
            connection.state.allowance = house.limits.count(who)
        if found is None:
            raise credentials.nobody(connection)
        credentials.check_csrf(connection, house, found)
        if self.scope not in found.scopes:
            raise Forbidden(f"This key lacks the scope {self.scope.value!r}; make one that has it.")
        return found


class HouseDoor(Door):
    """A door that is not in a project."""

    async def __call__(self, connection: HTTPConnection, house: TheHouse) -> Caller:
        found = await self.caller(connection, house)
        if not may(found, self.needs):
            raise Forbidden(f"Only a person with the role {self.needs.value!r} may do this.")
        return found


class ProjectDoor(Door):
    """A door into one project: to strangers there is no such project."""

    async def __call__(self, connection: HTTPConnection, house: TheHouse, slug: Slug) -> Entry:
        found = await self.caller(connection, house)
        unknown = ProjectNotFound(f"There is no project {slug!r} that you are a member of.")
        try:
            project = await projects.find(house.studio, slug)
        except ProjectNotFound:  # its words propose names that may be somebody else's
            if found.is_admin:
                raise
            raise unknown from None
        member = await members.role_in(house.studio, found, project.id)
        if not may(found, Needs.PROJECT_VIEWER, member):
            raise unknown
        if not may(found, self.needs, member):
            raise Forbidden(f"In the project {slug!r} you may look, but not change this.")
        return Entry(found, project)


class OwnDoor(ProjectDoor):
    """A door into the project that a header names, else into the caller's own."""

    async def __call__(
        self, connection: HTTPConnection, house: TheHouse, named: ProjectHeader = None
    ) -> Entry:
        if named is not None:
            return await super().__call__(connection, house, named)
        found = await self.caller(connection, house)
        project = await projects.personal(house.studio, found)
        member = await members.role_in(house.studio, found, project.id)
        if not may(found, self.needs, member):
            raise Forbidden(
                f"In your project {project.slug!r} you may not do this; your role is too small."
            )
        return Entry(found, project)


class OpenDoor(Door):
    """A door for everybody; it counts by address."""

    async def __call__(self, connection: HTTPConnection, house: TheHouse) -> None:
        if not self.counts:
            return
        address = connection.client.host if connection.client else "unknown"
        connection.state.allowance = house.limits.count(address)


SignedIn = Annotated[Caller, Depends(HouseDoor(Needs.SIGNED_IN))]
Spender = Annotated[Caller, Depends(HouseDoor(Needs.SIGNED_IN, Scope.SPEND))]
Changer = Annotated[Caller, Depends(HouseDoor(Needs.SIGNED_IN, Scope.WRITE))]
Creator = Annotated[Caller, Depends(HouseDoor(Needs.CREATOR))]
Oneself = Annotated[Caller, Depends(HouseDoor(Needs.SIGNED_IN, Scope.ADMIN))]
Admin = Annotated[Caller, Depends(HouseDoor(Needs.ADMIN))]
Viewing = Annotated[Entry, Depends(ProjectDoor(Needs.PROJECT_VIEWER))]
Glancing = Annotated[Entry, Depends(ProjectDoor(Needs.PROJECT_VIEWER, counts=False))]
"""At thumbnails: a gallery that is scrolled asks for hundreds."""
Liking = Annotated[Entry, Depends(ProjectDoor(Needs.PROJECT_VIEWER, Scope.WRITE))]
Editing = Annotated[Entry, Depends(ProjectDoor(Needs.PROJECT_EDITOR))]
Spending = Annotated[Entry, Depends(ProjectDoor(Needs.PROJECT_EDITOR, Scope.SPEND))]
Owning = Annotated[Entry, Depends(ProjectDoor(Needs.PROJECT_OWNER))]
LookingOwn = Annotated[Entry, Depends(OwnDoor(Needs.PROJECT_VIEWER))]
SpendingOwn = Annotated[Entry, Depends(OwnDoor(Needs.PROJECT_EDITOR, Scope.SPEND))]
EditingOwn = Annotated[Entry, Depends(OwnDoor(Needs.PROJECT_EDITOR))]
"""Of surfaces whose addresses name no project."""
Anybody = Depends(OpenDoor(Needs.NOTHING))
Probing = Depends(OpenDoor(Needs.NOTHING, counts=False))


def doors_of(dependant: object) -> list[Door]:
    """Return the doors of a route, for the walk over all of them; it must be one.

    One that other dependencies go through as well is still one: it is asked once a request.
    """
    call = getattr(dependant, "call", None)
    if isinstance(call, Door):
        return [call]
    behind = cast("list[object]", getattr(dependant, "dependencies", []))
    return list(dict.fromkeys(door for one in behind for door in doors_of(one)))


def door_of(dependant: object) -> Door | None:
    """Return the door of a route, for the contract."""
    return next(iter(doors_of(dependant)), None)
