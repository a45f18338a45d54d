"""What a role may ask for at most; nothing set, no limit."""

from __future__ import annotations

from decimal import Decimal
from fnmatch import fnmatchcase

from pydantic import BaseModel, Field

from maquette.core.people import Role


class RoleLimits(BaseModel, frozen=True, extra="forbid"):
    """The limits of one role."""

    pictures: int | None = Field(default=None, ge=1)
    """Of one request, or of one scene of a run."""
    pixels: int | None = Field(default=None, ge=1)
    """Of one picture."""
    models: tuple[str, ...] | None = None
    """Patterns such as `proof:*`, of `provider:model`; None: all."""
    day_usd: Decimal | None = Field(default=None, ge=0, decimal_places=9)
    """What a person of the role may spend in a day, unless a cap of their own says it."""

    def allows(self, provider: str, model: str) -> bool:
        name = f"{provider}:{model}"
        return self.models is None or any(fnmatchcase(name, one) for one in self.models)


class RoleRules(BaseModel, frozen=True, extra="forbid"):
    """The limits by role."""

    viewer: RoleLimits = RoleLimits()
    creator: RoleLimits = RoleLimits()
    admin: RoleLimits = RoleLimits()

    def of(self, role: Role) -> RoleLimits:
        """Return what a role may."""
        return {
            Role.VIEWER: self.viewer,
            Role.CREATOR: self.creator,
            Role.ADMIN: self.admin,
        }[role]
