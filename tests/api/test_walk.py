"""WEB-5: every route is walked by everybody, and lets in exactly those whom its door names.

A route that is added later is walked too, with no change here: its path is filled with the
walker's own project, or with an id that nothing has.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio
import websockets
from fastapi.routing import APIRoute, APIWebSocketRoute
from websockets.exceptions import InvalidStatus

from maquette.api.app import api_routes
from maquette.api.door import PROJECT, Door, OwnDoor, doors_of
from maquette.api.routes import ROUTERS
from maquette.core.people import Needs, ProjectRole, Role, Scope
from maquette.db.tables import ApiKey, LoginSession, Membership, Project, User
from maquette.settings import NetSettings, ServerSettings, WorkerSettings, load
from maquette.testing.serving import Served, serving

pytestmark = pytest.mark.asyncio(loop_scope="module")

UNKNOWN = "00000000-0000-4000-8000-000000000000"
DOORS_WORDS = {"unauthenticated", "forbidden", "cross-site", "project-not-found"}
"""What doors say; a route that was reached says something else."""
DIALECT = {"invalid_api_key": "unauthenticated"}
"""What doors say where OpenAI's clients ask."""


@dataclass(frozen=True)
class Walker:
    """Somebody with one credential."""

    title: str
    role: Role | None = None
    member: ProjectRole | None = None
    via: str = "token"
    scopes: frozenset[Scope] = frozenset(Scope)


CREATOR, VIEWER, ADMIN = Role.CREATOR, Role.VIEWER, Role.ADMIN
WALKERS = (
    Walker("a stranger", via="nothing"),
    Walker("a viewer", VIEWER),
    Walker("a creator", CREATOR),
    Walker("an administrator", ADMIN),
    Walker("the project's viewer", CREATOR, ProjectRole.VIEWER),
    Walker("the project's editor", CREATOR, ProjectRole.EDITOR),
    Walker("the project's owner", CREATOR, ProjectRole.OWNER),
    Walker("an owner who only looks", VIEWER, ProjectRole.OWNER),
    *(Walker(f"a key to {one.value}", ADMIN, None, "key", frozenset({one})) for one in Scope),
    Walker("an owner's key to read", CREATOR, ProjectRole.OWNER, "key", frozenset({Scope.READ})),
    Walker("a browser", ADMIN, via="session"),
    Walker("another site's page", ADMIN, via="bare session"),
)

_EVERYBODY = {one.title for one in WALKERS if one.role is not None}
_ADMINS = {one.title for one in WALKERS if one.role is ADMIN}
LET_IN: dict[Needs, set[str]] = {
    Needs.SIGNED_IN: _EVERYBODY,
    Needs.CREATOR: _EVERYBODY - {"a viewer", "an owner who only looks"},
    Needs.ADMIN: _ADMINS,
    Needs.PROJECT_VIEWER: _EVERYBODY - {"a viewer", "a creator"},
    Needs.PROJECT_EDITOR: _ADMINS
    | {"the project's editor", "the project's owner", "an owner's key to read"},
    Needs.PROJECT_OWNER: _ADMINS | {"the project's owner", "an owner's key to read"},
}
"""Whom a role lets in; what their credential allows comes first."""


def expected(door: Door, who: Walker, *, changes: bool) -> tuple[int, str] | None:
    """Say how the door refuses; None: it lets in."""
    if door.needs is Needs.NOTHING:
        return None
    if who.role is None:
        return 401, "unauthenticated"
    if who.via == "bare session" and changes:
        return 403, "cross-site"
    if door.scope not in who.scopes:
        return 403, "forbidden"
    if door.needs.in_project and who.title not in LET_IN[Needs.PROJECT_VIEWER]:
        return 404, "project-not-found"
    return None if who.title in LET_IN[door.needs] else (403, "forbidden")


# --- the way through


def http_ways() -> Iterator[tuple[str, APIRoute]]:
    for route in api_routes():
        for method in sorted(route.methods or ()):
            yield method, route


def sockets() -> list[APIWebSocketRoute]:
    return [
        route
        for router in ROUTERS
        for route in router.routes
        if isinstance(route, APIWebSocketRoute)
    ]


def filled(path: str, slug: str) -> str:
    """Put the project's slug into a route's path, and an unknown id wherever else one is asked."""
    return re.sub(r"\{(\w+)[^}]*\}", lambda it: slug if it[1] == "slug" else UNKNOWN, path)


WAYS = [pytest.param(method, route, id=f"{method} {route.path}") for method, route in http_ways()]
SOCKETS = [pytest.param(route, id=f"WS {route.path}") for route in sockets()]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Served]:
    """One server for the whole walk; nothing on it works runs."""
    settings = load(
        home=tmp_path_factory.mktemp("walk"),
        net=NetSettings(paid_calls=False),
        workers=WorkerSettings(count=1),
        server=ServerSettings(auth="multi", per_minute=10**6, logins_per_minute=10**6),
    )
    async with serving(settings, work=False) as served:
        yield served


@dataclass(frozen=True)
class Walk:
    """A walker with their headers, before a project of their own to knock at."""

    who: Walker
    slug: str
    headers: dict[str, str]


async def new_walkers(served: Served) -> list[Walk]:
    """Make everybody anew: a walker may delete the project, or sign out."""
    async with served.house.studio.shop.db.write() as session:
        walks: list[Walk] = []
        for who in WALKERS:
            slug, now = f"p-{uuid4().hex}", datetime.now(UTC)
            root = served.house.studio.home / "projects" / slug
            project = Project(id=slug, slug=slug, name=slug, root=str(root), created_at=now)
            user = User(
                id=f"u-{slug[2:]}",
                name=f"u-{slug[2:]}",
                role=(who.role or VIEWER).value,
                epoch=0,
                verified=False,
                created_at=now,
            )
            session.add_all([project, user])
            await session.flush()
            if who.member is not None:
                keys = {"project_id": project.id, "user_id": user.id}
                session.add(Membership(**keys, role=who.member.value, created_at=now))
            row, headers = _credential(served, who, user.id, now)
            if row is not None:
                session.add(row)
            walks.append(Walk(who, slug, headers))
    return walks


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def lookers(house: Served) -> list[Walk]:
    """Those who change nothing can walk on."""
    return await new_walkers(house)


def _credential(
    served: Served, who: Walker, user_id: str, now: datetime
) -> tuple[ApiKey | LoginSession | None, dict[str, str]]:
    until, text = now + timedelta(hours=1), secrets.token_urlsafe(32)
    if who.via == "nothing":
        return None, {}
    if who.via == "token":
        token = served.house.tokens.access(user_id, 0, who.scopes, until, now)
        return None, {"Authorization": f"Bearer {token}"}
    if who.via == "key":
        key = ApiKey(
            id=str(uuid4()),
            user_id=user_id,
            name=who.title,
            prefix="mq_",
            hash=hashlib.sha256(f"mq_{text}".encode()).hexdigest(),
            scopes=[one.value for one in who.scopes],
            created_at=now,
            last_used_at=now,
        )
        return key, {"Authorization": f"Bearer mq_{text}"}
    row = LoginSession(
        id=hashlib.sha256(text.encode()).hexdigest(),
        user_id=user_id,
        created_at=now,
        last_used_at=now,
        expires_at=until,
    )
    headers = {"Cookie": f"maquette_session={text}"}
    if who.via == "session":
        headers["X-CSRF-Token"] = served.house.tokens.csrf(text)
    return row, headers


# --- the walk


@pytest.mark.parametrize(("method", "route"), WAYS)
async def test_a_route_has_exactly_one_door(method: str, route: APIRoute) -> None:
    found = doors_of(route.dependant)
    assert len(found) == 1, f"{method} {route.path} has {len(found)} doors"
    in_path = "{slug}" in route.path
    assert in_path >= found[0].needs.in_project or isinstance(found[0], OwnDoor)


@pytest.mark.parametrize("route", SOCKETS)
async def test_a_socket_has_exactly_one_door(route: APIWebSocketRoute) -> None:
    assert len(doors_of(route.dependant)) == 1


async def test_no_route_is_reached_but_by_the_routers(house: Served) -> None:
    known = {re.sub(r":[a-z]+}", "}", route.path) for route in api_routes()}
    assert set(house.app.openapi()["paths"]) <= known


@pytest.mark.parametrize(("method", "route"), WAYS)
async def test_a_door_lets_in_those_whom_it_names_and_nobody_else(
    house: Served, lookers: list[Walk], method: str, route: APIRoute
) -> None:
    (door,) = doors_of(route.dependant)
    changes = method not in ("GET", "HEAD", "OPTIONS")
    wrong: list[str] = []
    for walk in await new_walkers(house) if changes else lookers:
        status, code = await _knock(house, method, route.path, walk)
        want = expected(door, walk.who, changes=changes)
        let_in = status not in (401, 403) and code not in DOORS_WORDS and status != 500
        right = let_in if want is None else (status, code) in (want, (want[0], None))
        if not right:
            wrong.append(f"{walk.who.title}: {status} {code}, and not {want or 'let in'}")
    assert wrong == [], f"{door.needs.value}, scope {door.scope.value}"


async def _knock(served: Served, method: str, path: str, walk: Walk) -> tuple[int, str | None]:
    """Return the status and the problem's code; of a stream, only that it begins."""
    body: Any = {} if method in ("POST", "PUT", "PATCH") else None
    served.client.cookies.clear()
    address = filled(path, walk.slug)
    headers = {**walk.headers, PROJECT: walk.slug}
    async with served.client.stream(method, address, headers=headers, json=body) as reply:
        if not reply.headers.get("content-type", "").startswith("application/problem+json"):
            return reply.status_code, None
        if method == "HEAD":
            return reply.status_code, None
        await reply.aread()
        code = reply.json()["error"]["code"]
        return reply.status_code, DIALECT.get(code, code)


@pytest.mark.parametrize("route", SOCKETS)
async def test_a_sockets_door_lets_in_those_whom_it_names_and_nobody_else(
    house: Served, lookers: list[Walk], route: APIWebSocketRoute
) -> None:
    (door,) = doors_of(route.dependant)
    wrong: list[str] = []
    for walk in lookers:
        address = house.url.replace("http", "ws", 1) + filled(route.path, walk.slug)
        status = 101
        try:
            async with websockets.connect(address, additional_headers=walk.headers):
                pass
        except InvalidStatus as refused:
            status = refused.response.status_code
        want = expected(door, walk.who, changes=False)
        allowed = {101, 404} if UNKNOWN in address else {101}
        if status not in (allowed if want is None else {want[0]}):
            wrong.append(f"{walk.who.title}: {status}, and not {want or 'let in'}")
    assert wrong == [], f"{door.needs.value}, scope {door.scope.value}"
