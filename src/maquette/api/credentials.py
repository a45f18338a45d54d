"""What a request shows to say who makes it: a session's cookie, an access token or a key."""

from __future__ import annotations

import ipaddress

from starlette.requests import HTTPConnection

from maquette.api.house import House
from maquette.core.errors import CrossSite, Unauthenticated
from maquette.core.people import Caller
from maquette.services import keys, people, sessions

COOKIE = "maquette_session"
CSRF_HEADER = "X-CSRF-Token"
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_LONGEST = 4096


async def identify(connection: HTTPConnection, house: House) -> Caller | None:
    """Return who asks; None for nobody. Asked once a request.

    In single-user mode it is the one whose studio this is: what a client sends besides is ignored.
    """
    if not hasattr(connection.state, "caller"):
        connection.state.caller = await _identified(connection, house)
    return connection.state.caller


def forget(connection: HTTPConnection) -> None:
    """Let a long stream look again whether its caller is still let in."""
    del connection.state.caller


async def _identified(connection: HTTPConnection, house: House) -> Caller | None:
    if not house.rules.multi_user:
        return await people.local(house.studio)
    shown = _bearer(connection)
    if shown is None:
        token = session_token(connection)
        return None if token is None else await sessions.by_session(house.studio, token)
    if len(shown) > _LONGEST:
        return None
    if shown.startswith(keys.BEGINNING):
        return await keys.known(house.studio, shown)
    return await sessions.by_token(house.studio, house.tokens, shown)


def nobody(connection: HTTPConnection) -> Unauthenticated:
    """Say what to do to one who is not known."""
    if _bearer(connection) is not None:
        return Unauthenticated(
            "The key or access token is not valid: it is over, revoked or mistyped, or its "
            "owner's account is disabled. Make a new one."
        )
    if session_token(connection) is not None:
        return Unauthenticated("The session is over; sign in again.")
    return Unauthenticated("Sign in, or send an API key: `Authorization: Bearer …`.")


def check_csrf(connection: HTTPConnection, house: House, caller: Caller) -> None:
    """Refuse a change that a browser's cookie alone stands for: any page can send that.

    A WebSocket cannot send headers; the origin of its handshake was looked at before.
    """
    if caller.via != "session" or connection.scope.get("method", "GET") in _SAFE:
        return
    token = session_token(connection) or ""
    if not house.tokens.is_csrf(connection.headers.get(CSRF_HEADER, ""), token):
        raise CrossSite(
            f"The session's cookie came without the header `{CSRF_HEADER}`; `GET "
            "/api/auth/session` tells its value."
        )


def session_token(connection: HTTPConnection) -> str | None:
    return connection.cookies.get(COOKIE) or None


def address_of(connection: HTTPConnection) -> str:
    """Return the address that tries to sign in are counted by: of IPv6, the whole network."""
    host = connection.client.host if connection.client else "unknown"
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    if address.version == 4:
        return host
    return str(ipaddress.ip_network((address, 64), strict=False))


def _bearer(connection: HTTPConnection) -> str | None:
    kind, _, shown = connection.headers.get("authorization", "").partition(" ")
    return shown.strip() if kind.lower() == "bearer" else None
