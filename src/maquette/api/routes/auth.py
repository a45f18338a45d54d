"""Signing in and out."""

from __future__ import annotations

import logging
from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, Field

from maquette.api import credentials
from maquette.api.contract import raises
from maquette.api.door import Anybody, Oneself, SignedIn
from maquette.api.house import House, TheHouse
from maquette.core.errors import Unauthenticated, WrongState
from maquette.core.people import Caller, Role, Scope
from maquette.core.wanted import Wanted
from maquette.services import passwords, sessions

router = APIRouter(prefix="/api/auth", tags=["people"])
log = logging.getLogger(__name__)

Name = Annotated[str, Field(min_length=1, max_length=200, examples=["ann"])]
Password = Annotated[str, Field(min_length=1, max_length=passwords.LONGEST)]
NewPassword = Annotated[str, Field(min_length=passwords.SHORTEST, max_length=passwords.LONGEST)]


class SignIn(Wanted):
    """Who signs in."""

    name: Name
    password: Password


class TokenWanted(SignIn):
    """Who asks for an access token, and what it is to allow."""

    scopes: list[Scope] = Field(list(Scope), min_length=1, max_length=8)


class SessionDocument(BaseModel):
    """Who the caller is, and what the credential allows."""

    name: str
    role: Role
    scopes: list[Scope]
    via: str
    """`local`, `session`, `token` or `key:<id>`."""
    mode: Literal["single", "multi"]
    csrf_token: str | None = None
    """To be sent as `X-CSRF-Token` with every change that the session's cookie stands for."""


class TokenDocument(BaseModel):
    """An access token; it is not shown again."""

    access_token: str
    token_type: Literal["bearer"] = "bearer"  # noqa: S105 - the kind, no secret
    expires_in: int
    expires_at: datetime
    scopes: list[Scope]


class PasswordChange(Wanted):
    """The present password and the new one."""

    present: Password
    new: NewPassword


@router.post(
    "/login",
    summary="Sign in",
    dependencies=[Anybody],
    responses=raises(Unauthenticated, WrongState),
)
async def login(
    request: Request, response: Response, house: TheHouse, who: SignIn
) -> SessionDocument:
    """Begin a session: its cookie is for the browser, its CSRF token for the page."""
    _count_try(request, house)
    days = house.rules.session_days
    try:
        begun = await sessions.sign_in(house.studio, who.name.strip().lower(), who.password, days)
    except Unauthenticated:
        log.warning("signing in was refused to %s", credentials.address_of(request))
        raise
    response.set_cookie(
        credentials.COOKIE,
        begun.token,
        max_age=days * 24 * 3600,
        httponly=True,
        samesite="lax",
        secure=_secure(request, house),
    )
    return _document(house, begun.caller, begun.token)


@router.get("/session", summary="Tell who the caller is")
async def show_session(caller: SignedIn, request: Request, house: TheHouse) -> SessionDocument:
    """Return the caller's name, role and scopes, and the CSRF token of their session."""
    return _document(house, caller, credentials.session_token(request))


@router.post("/logout", status_code=204, summary="Sign out")
async def logout(
    caller: Oneself,
    request: Request,
    response: Response,
    house: TheHouse,
    *,
    everywhere: Annotated[
        bool, Query(description="End all sessions and access tokens of the person.")
    ] = False,
) -> None:
    """End this session, or everything that the person signed in to; API keys stay."""
    token = credentials.session_token(request)
    if everywhere:
        await sessions.leave_everywhere(house.studio, caller)
    elif token is not None and caller.via == "session":
        await sessions.leave(house.studio, token)
    response.delete_cookie(
        credentials.COOKIE, httponly=True, samesite="lax", secure=_secure(request, house)
    )


@router.post(
    "/token",
    summary="Get an access token",
    dependencies=[Anybody],
    responses=raises(Unauthenticated, WrongState),
)
async def make_token(request: Request, house: TheHouse, wanted: TokenWanted) -> TokenDocument:
    """Return a token that a program sends as `Authorization: Bearer …` for some minutes."""
    _count_try(request, house)
    who = wanted.name.strip().lower(), wanted.password
    minutes = house.rules.token_minutes
    try:
        made = await sessions.grant(house.studio, house.tokens, who, minutes, wanted.scopes)
    except Unauthenticated:
        log.warning("an access token was refused to %s", credentials.address_of(request))
        raise
    return TokenDocument(
        access_token=made.text,
        expires_in=minutes * 60,
        expires_at=made.until,
        scopes=sorted(made.scopes),
    )


@router.post("/password", status_code=204, summary="Change one's own password")
async def change_password(
    caller: Oneself, request: Request, house: TheHouse, change: PasswordChange
) -> None:
    """Change the password; every other session and every access token ends."""
    house.limits.count_login(caller.key)
    token = credentials.session_token(request) if caller.via == "session" else None
    await sessions.change_password(house.studio, caller, change.present, change.new, token)


def _count_try(request: Request, house: House) -> None:
    if not house.rules.multi_user:
        raise WrongState(
            "In single-user mode nobody signs in. MAQUETTE_SERVER__AUTH=multi lets people sign in."
        )
    house.limits.count_login(credentials.address_of(request))


def _secure(request: Request, house: House) -> bool:
    chosen = house.rules.secure_cookies
    return request.url.scheme == "https" if chosen is None else chosen


def _document(house: House, caller: Caller, token: str | None) -> SessionDocument:
    by_cookie = caller.via == "session" and token is not None
    return SessionDocument(
        name=caller.name,
        role=caller.role,
        scopes=sorted(caller.scopes),
        via=caller.via,
        mode="multi" if house.rules.multi_user else "single",
        csrf_token=house.tokens.csrf(token) if by_cookie and token else None,
    )
