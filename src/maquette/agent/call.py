"""A call of a tool: who makes it, what it works with, and what it answers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from pydantic import BaseModel

from maquette.core.errors import Forbidden, ProjectNotFound
from maquette.core.people import Caller, Needs, Scope, may
from maquette.core.wanted import Wanted
from maquette.db.tables import Project
from maquette.services import members, projects
from maquette.services.confirming import Proposal
from maquette.services.feed import Feed
from maquette.services.studio import Studio
from maquette.services.thumbs import Thumbnails

Tell = Callable[[float, float | None, str], Awaitable[None]]
"""Tells whoever waits how far it is: a growing number, what it grows to, and words."""


@dataclass(frozen=True)
class Office:
    """What every call works with."""

    studio: Studio
    feed: Feed
    thumbnails: Thumbnails
    most_bytes: int
    """How large a picture may be that is sent."""
    local: bool = False
    """Whoever calls sits at this machine: they may name files below their project's root."""
    waits: Callable[[str], AbstractContextManager[object]] = nullcontext
    """Lets a call of that person's wait for a job, or refuses where too many do."""


@dataclass(frozen=True)
class Call:
    """One call."""

    office: Office
    caller: Caller
    project: str | None
    """The slug of the project where the call names none; None: the caller's own."""
    tell: Tell
    again: Callable[[], Awaitable[Caller]]
    """Looks again whether the caller is still let in, and what they may."""
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when nobody waits for the answer any more; what was begun is seen through."""

    @property
    def studio(self) -> Studio:
        return self.office.studio

    async def enter(self, slug: str | None, needs: Needs) -> Project:
        """Return the project that is meant; to strangers there is no such project."""
        slug = slug or self.project
        if slug is None:
            found = await projects.personal(self.studio, self.caller)
        else:
            found = await self._find(slug)
        member = await members.role_in(self.studio, self.caller, found.id)
        if not may(self.caller, Needs.PROJECT_VIEWER, member):
            raise _no_project(found.slug)
        if not may(self.caller, needs, member):
            raise Forbidden(f"In the project {found.slug!r} you may look, but not change this.")
        return found

    async def _find(self, slug: str) -> Project:
        try:
            return await projects.find(self.studio, slug)
        except ProjectNotFound:  # its words propose names that may be somebody else's
            if self.caller.is_admin:
                raise
            raise _no_project(slug) from None

    def wait(self, wait_s: float) -> AbstractContextManager[object]:
        """Hold a place among those who wait; without waiting none is needed."""
        return self.office.waits(self.caller.user_id) if wait_s else nullcontext()

    def check_scope(self, scope: Scope) -> None:
        """Refuse a credential that may not do this."""
        if scope not in self.caller.scopes:
            raise Forbidden(f"This key lacks the scope {scope.value!r}; make one that has it.")


def _no_project(slug: str) -> ProjectNotFound:
    return ProjectNotFound(f"There is no project {slug!r} that you are a member of.")


@dataclass(frozen=True)
class Shown:
    """A picture in an answer: small enough to look at, and where all of it is."""

    asset: str
    project: str
    name: str
    media_type: str
    size_bytes: int
    data: bytes
    data_type: str


@dataclass(frozen=True)
class Answer:
    """What a tool answers."""

    told: BaseModel
    pictures: Sequence[Shown] = ()
    proposal: Proposal | None = None
    """Nothing was begun: it waits for a person's word."""


W = TypeVar("W", bound=Wanted)


@dataclass(frozen=True)
class Tool(Generic[W]):
    """Something that an agent can do here; every surface for agents is made from these."""

    name: str
    title: str
    says: str
    """What it does, for the model that chooses."""
    wants: type[W]
    tells: type[BaseModel]
    scope: Scope
    does: Callable[[Call, W], Awaitable[Answer]]
    makes: bool = False
    """Pictures, which may cost money: `plan` can tell what they would."""
    destroys: bool = False
    again: bool = False
    """Calling it again with the same words changes nothing more."""

    @property
    def looks(self) -> bool:
        """Whether it changes nothing."""
        return self.scope is Scope.READ

    def schema(self) -> dict[str, Any]:
        """Return the JSON schema of what it wants."""
        return self.wants.model_json_schema()
