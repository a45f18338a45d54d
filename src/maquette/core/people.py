"""Who may do what: roles, what a key allows, and the one rule that combines them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Role(StrEnum):
    """What a person is in the installation."""

    VIEWER = "viewer"
    """Looks at what they are a member of."""
    CREATOR = "creator"
    """Makes projects and works in them."""
    ADMIN = "admin"
    """Everything, everywhere."""


class ProjectRole(StrEnum):
    """What a person is in one project."""

    VIEWER = "viewer"
    EDITOR = "editor"
    OWNER = "owner"


class Scope(StrEnum):
    """What a credential allows at most; a browser's session allows all."""

    READ = "read"
    WRITE = "write"
    SPEND = "spend"
    ADMIN = "admin"


class Needs(StrEnum):
    """What a route asks of its caller; every route states one."""

    NOTHING = "nothing"
    """Anybody, signed in or not."""
    SIGNED_IN = "signed_in"
    CREATOR = "creator"
    """A creator or an administrator."""
    ADMIN = "admin"
    PROJECT_VIEWER = "project_viewer"
    """A member of the project; to strangers there is no such project."""
    PROJECT_EDITOR = "project_editor"
    """A member who may work in it, and is no viewer of the installation."""
    PROJECT_OWNER = "project_owner"

    @property
    def in_project(self) -> bool:
        return self in _IN_PROJECT


_IN_PROJECT = {
    Needs.PROJECT_VIEWER: ProjectRole.VIEWER,
    Needs.PROJECT_EDITOR: ProjectRole.EDITOR,
    Needs.PROJECT_OWNER: ProjectRole.OWNER,
}
_RANK = {ProjectRole.VIEWER: 0, ProjectRole.EDITOR: 1, ProjectRole.OWNER: 2}


@dataclass(frozen=True)
class Caller:
    """Who makes a request, and with what."""

    user_id: str
    name: str
    role: Role
    scopes: frozenset[Scope] = frozenset(Scope)
    via: str = "local"
    """`local`, `session`, `token` or `key:<id>`."""

    @property
    def key(self) -> str:
        """What limits and idempotency keys count by."""
        return self.via if self.via.startswith("key:") else f"user:{self.user_id}"

    @property
    def is_admin(self) -> bool:
        return self.role is Role.ADMIN


def may(caller: Caller, needs: Needs, member: ProjectRole | None = None) -> bool:
    """Say whether the caller's roles suffice; `member` is what they are in the project."""
    if needs in (Needs.NOTHING, Needs.SIGNED_IN) or caller.is_admin:
        return True
    if needs is Needs.ADMIN:
        return False
    if needs is Needs.CREATOR:
        return caller.role is Role.CREATOR
    wanted = _IN_PROJECT[needs]
    if member is None or _RANK[member] < _RANK[wanted]:
        return False
    return wanted is ProjectRole.VIEWER or caller.role is not Role.VIEWER
