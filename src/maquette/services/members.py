"""Which projects are whose."""

from __future__ import annotations

from maquette.core.people import Caller, ProjectRole
from maquette.db import people
from maquette.services.studio import Studio


async def role_in(studio: Studio, caller: Caller, project_id: str) -> ProjectRole | None:
    """Return what the caller is in a project; None for a stranger."""
    if caller.is_admin:
        return ProjectRole.OWNER
    async with studio.shop.db.read() as session:
        return await people.role_in(session, project_id, caller.user_id)
