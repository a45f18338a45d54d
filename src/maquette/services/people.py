"""People: the one that a laptop's studio belongs to, and accounts."""

from __future__ import annotations

from maquette.core.people import Caller, Role
from maquette.db import people
from maquette.services.studio import Studio

LOCAL = "local"
"""The name of the person in single-user mode."""


async def local(studio: Studio) -> Caller:
    """Return the person of a single-user studio, made on first use."""
    async with studio.shop.db.read() as session:
        found = await people.by_name(session, LOCAL)
    if found is None:
        async with studio.shop.db.write() as session:
            found = await people.make_missing(session, LOCAL, Role.ADMIN, studio.shop.clock.now())
    return Caller(found.id, found.name, Role(found.role))
