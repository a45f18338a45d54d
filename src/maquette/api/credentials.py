"""What a request shows to say who makes it."""

from __future__ import annotations

from starlette.requests import HTTPConnection

from maquette.api.house import House
from maquette.core.people import Caller
from maquette.services import people


async def identify(connection: HTTPConnection, house: House) -> Caller | None:
    """Return who asks; None for nobody. Asked once a request.

    In single-user mode it is the one whose studio this is: what a client sends besides is ignored.
    """
    if not hasattr(connection.state, "caller"):
        connection.state.caller = await _identified(connection, house)
    return connection.state.caller


async def _identified(_connection: HTTPConnection, house: House) -> Caller | None:
    if not house.rules.multi_user:
        return await people.local(house.studio)
    return None
