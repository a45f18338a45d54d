"""People who talk to a server: signed in by a cookie, or with a token or a key."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any

import httpx2
from argon2 import PasswordHasher

from maquette.core.people import Role
from maquette.db.tables import User
from maquette.services import passwords, people
from maquette.services.people import Change
from maquette.services.studio import Studio
from maquette.testing.serving import Served

PASSWORD = "correct horse battery"  # noqa: S105 - of people who do not exist


@cache
def _hash(kind: Callable[[], PasswordHasher]) -> str:
    """Hash it once for all tests: at its real price it takes a tenth of a second."""
    return kind().hash(PASSWORD)


async def make(studio: Studio, name: str, role: Role) -> str:
    """Make an account with the one password; return its id."""
    made = await people.create(studio, name, role, Change())
    async with studio.shop.db.write() as session:
        person = await session.get_one(User, made.id)
        person.password_hash = _hash(passwords.PasswordHasher)
    return made.id


@dataclass(frozen=True)
class Client:
    """One person's headers; no cookie of another's is kept between requests."""

    served: Served
    headers: Mapping[str, str] = field(default_factory=dict[str, str])

    async def __call__(self, method: str, path: str, **more: Any) -> httpx2.Response:
        headers = {**self.headers, **more.pop("headers", {})}
        self.served.client.cookies.clear()
        reply = await self.served.client.request(method, path, headers=headers, **more)
        self.served.client.cookies.clear()
        return reply

    def __getattr__(self, method: str) -> Any:
        return partial(self, method.upper())


@dataclass(frozen=True)
class Browser(Client):
    """A browser's page; `raw` is what another site's page could make it send."""

    session: str = ""
    csrf: str = ""

    @property
    def raw(self) -> Client:
        return Client(self.served, {"Cookie": self.headers["Cookie"]})


async def signed_in(served: Served, name: str, password: str = PASSWORD) -> Browser:
    body = {"name": name, "password": password}
    reply = await Client(served).post("/api/auth/login", json=body)
    assert reply.status_code == 200, reply.text
    session = reply.cookies["maquette_session"]
    csrf = reply.json()["csrf_token"]
    headers = {"Cookie": f"maquette_session={session}", "X-CSRF-Token": csrf}
    return Browser(served, headers, session=session, csrf=csrf)


def bearer(served: Served, token: str) -> Client:
    return Client(served, {"Authorization": f"Bearer {token}"})


async def access_token(served: Served, name: str) -> str:
    reply = await Client(served).post("/api/auth/token", json={"name": name, "password": PASSWORD})
    assert reply.status_code == 200, reply.text
    return reply.json()["access_token"]
