"""Projects' own keys for services: set, listed masked, removed, looked up for a call."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from pydantic import SecretStr
from sqlalchemy.exc import IntegrityError

from maquette.core.errors import (
    AlreadyExists,
    BadParameter,
    ProjectNotFound,
    SecretNotFound,
    SecretsLocked,
)
from maquette.core.provider import Provider
from maquette.core.registry import Registry
from maquette.db import events, projects, secrets
from maquette.db.engine import Database
from maquette.db.tables import Secret
from maquette.jobs.keys import Keys
from maquette.services import rotating
from maquette.services.studio import Studio
from maquette.services.vault import Place, Sealed, Vault, sealed

API_KEY = "api_key"
"""The secret that goes by the name that its provider gives to its key."""
LONGEST = 8192
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_SHOWN, _LONG_ENOUGH = 4, 12


@dataclass(frozen=True)
class SecretFacts:
    """A secret as it may be seen."""

    provider: str
    name: str
    variable: str
    """The name in the environment that it is looked up before."""
    masked: str
    problem: str | None
    """Why it cannot be opened."""
    updated_at: datetime


async def put(
    studio: Studio, project_id: str, provider: str, name: str, value: SecretStr
) -> tuple[SecretFacts, bool]:
    """Seal and write a secret; return it masked, and whether it is new."""
    place = Place(project_id, _checked(provider, "provider"), _checked(name, "name of the secret"))
    value = _clean(value)
    now = studio.shop.clock.now()
    try:
        async with studio.shop.db.write() as session:
            # Inside the transaction: a rotation comes wholly before it, or wholly after.
            used = await secrets.key_ids(session)
            key = await asyncio.to_thread(studio.vault.current, used)
            made = sealed(key, place, value)
            new = await secrets.put(session, _row(place), made.data, made.key_id, now)
            events.record(
                session, "secret_set", project_id=project_id, at=now, provider=provider, name=name
            )
    except IntegrityError:  # two at once, on a server
        raise AlreadyExists(
            f"Somebody else has just set {provider}/{name}; look at it, then set it again."
        ) from None
    await rotating.settle(studio.vault, used)
    shown = variable(studio.shop.providers, provider, name)
    return SecretFacts(provider, name, shown, masked(value), None, now), new


async def listing(
    studio: Studio, project_id: str, limit: int = 1000, after: tuple[str, str] | None = None
) -> Sequence[SecretFacts]:
    """Return a project's secrets, masked."""
    async with studio.shop.db.read() as session:
        rows = await secrets.page(session, project_id, limit, after)
    await rotating.settle(studio.vault, {row.key_id for row in rows})
    return await asyncio.to_thread(lambda: [_facts(studio, row) for row in rows])


async def remove(studio: Studio, project_id: str, provider: str, name: str) -> None:
    now = studio.shop.clock.now()
    async with studio.shop.db.write() as session:
        if not await secrets.remove(session, (project_id, provider, name)):
            raise SecretNotFound(
                f"The project has no secret {provider}/{name}. `maquette secret list` shows those "
                "it has."
            )
        events.record(
            session, "secret_removed", project_id=project_id, at=now, provider=provider, name=name
        )


@dataclass(frozen=True)
class Ring:
    """Looks up the keys of any project."""

    db: Database
    vault: Vault
    providers: Registry[Provider]
    installation: Callable[[str], SecretStr]

    async def __call__(self, project_id: str) -> Keys:
        """Open a project's own keys; what cannot be opened says so when it is asked for."""
        async with self.db.read() as session:
            rows = await secrets.of_project(session, project_id)
        if not rows:
            return Keys(self.installation)
        await rotating.settle(self.vault, {row.key_id for row in rows})
        return Keys(self.installation, await asyncio.to_thread(self._opened, rows))

    def _opened(self, rows: Sequence[Secret]) -> Mapping[str, SecretStr | SecretsLocked]:
        found: dict[str, SecretStr | SecretsLocked] = {}
        # Where two have one name, the declared `api_key` is the last, and wins.
        for row in sorted(rows, key=lambda one: one.name == API_KEY):
            name = variable(self.providers, row.provider, row.name)
            try:
                found[name] = _open(self.vault, row)
            except SecretsLocked as error:
                found[name] = error
        return found


async def seen_by(studio: Studio, slug: str) -> Studio:
    """Return the studio as a project sees it, whose own keys count; it need not be there yet."""
    try:
        async with studio.shop.db.read() as session:
            project = await projects.by_slug(session, slug)
    except ProjectNotFound:
        return studio
    return await studio.of_project(project.id)


def variable(providers: Registry[Provider], provider: str, name: str) -> str:
    """Return the name in the environment that a secret stands before."""
    if name == API_KEY and provider in providers and provider not in providers.broken:
        declared = providers[provider].key_name
        if declared is not None:
            return declared
    return f"{provider}_{name}".replace("-", "_").upper()


def masked(value: SecretStr) -> str:
    """Show the end of a long secret, and nothing of a short one."""
    text = value.get_secret_value()
    return f"…{text[-_SHOWN:]}" if len(text) >= _LONG_ENOUGH else "…"


def _facts(studio: Studio, row: Secret) -> SecretFacts:
    shown, problem = "…", None
    try:
        shown = masked(_open(studio.vault, row))
    except SecretsLocked as error:
        problem = str(error)
    name = variable(studio.shop.providers, row.provider, row.name)
    return SecretFacts(row.provider, row.name, name, shown, problem, row.updated_at)


def _open(vault: Vault, row: Secret) -> SecretStr:
    return vault.open(Place(row.project_id, row.provider, row.name), Sealed(row.sealed, row.key_id))


def _row(place: Place) -> tuple[str, str, str]:
    return place.project_id, place.provider, place.name


def _checked(word: str, what: str) -> str:
    if not _NAME.fullmatch(word):
        raise BadParameter(
            f"{word!r} cannot be the {what}: use lower-case letters, digits, - and _, beginning "
            "with a letter or digit, at most 64."
        )
    return word


def _clean(value: SecretStr) -> SecretStr:
    """Take a pasted key without the white space around it."""
    text = value.get_secret_value().strip()
    printed = text.replace("\n", "").replace("\r", "")
    if not text or len(text) > LONGEST or not printed.isprintable():
        raise BadParameter(
            f"The value cannot be a secret: it must have 1 to {LONGEST} characters that can be "
            "printed. Nothing was written."
        )
    return SecretStr(text)
