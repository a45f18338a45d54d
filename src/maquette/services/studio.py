"""What every service works with; `bootstrap` builds it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from pydantic import SecretStr
from sqlalchemy.engine import make_url

from maquette.core.credits import CreditRules
from maquette.core.errors import CapabilityMissing, ShuttingDown
from maquette.core.language import Words
from maquette.core.provider import Provider
from maquette.core.roles import RoleRules
from maquette.core.speech import Voices
from maquette.core.wire import WireRules
from maquette.jobs.engine import Engine
from maquette.jobs.keys import Keys
from maquette.jobs.workshop import Workshop
from maquette.services.vault import Vault

T = TypeVar("T")
GetKey = Callable[[str], SecretStr]
"""Returns the key of that name, or raises `CapabilityMissing` that says how to set it."""
log = logging.getLogger(__name__)


class Errands:
    """Work that is seen through to its end, even where whoever asked for it has gone."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    async def see_through(self, work: Coroutine[Any, Any, T]) -> T:
        """Await the work; cancelling the caller does not cancel it."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._over)
        return await asyncio.shield(task)

    def _over(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:  # its caller has it too, if there is one still
            log.info("an errand ended with an error: %s", error)

    async def all_done(self) -> None:
        while self._tasks:
            await asyncio.wait(tuple(self._tasks))


async def unless_stopped(work: Coroutine[Any, Any, T], stopping: asyncio.Event) -> T:
    """Await work that can be begun again; a server that stops gives it up."""
    task, stop = asyncio.create_task(work), asyncio.create_task(stopping.wait())
    try:
        await asyncio.wait((task, stop), return_when=asyncio.FIRST_COMPLETED)
    finally:
        for one in (task, stop):
            one.cancel()
        await asyncio.wait((task, stop))
    if task.cancelled():
        raise ShuttingDown("The server stops, so this was given up; ask again when it is back.")
    return task.result()


def _no_words(_key: GetKey) -> Words:
    raise CapabilityMissing("This studio was opened without a language model; open it with one.")


def _no_voices(_key: GetKey) -> Voices:
    raise CapabilityMissing("This studio was opened without a voice; open it with one.")


@dataclass(frozen=True)
class Agent:
    """Another program that does instructions."""

    url: str
    token: SecretStr | None = None


@dataclass(frozen=True)
class Studio:
    """An open installation."""

    shop: Workshop
    home: Path
    new_engine: Callable[[], Engine]
    vault: Vault
    keys: Keys
    """The installation's; a project's in a studio `of_project`."""
    errands: Errands = field(default_factory=Errands)
    words: Callable[[GetKey], Words] = _no_words
    """Makes who writes, describes and chats, for calls with these keys."""
    voices: Callable[[GetKey], Voices] = _no_voices
    """Makes who speaks and listens."""
    wire: WireRules = field(default_factory=lambda: WireRules(paid_calls=False))
    """What services may call by themselves."""
    guest_wire: WireRules = field(default_factory=lambda: WireRules(paid_calls=False))
    """The same for addresses that people chose who need not be administrators."""
    agent: Agent | None = None
    """Who does the instructions that are dispatched."""
    trash_days: int = 30
    """How long pictures lie in the trash."""
    alert_url: SecretStr | None = None
    """Who is told when a cap fills up."""
    credits: CreditRules = field(default_factory=CreditRules)
    roles: RoleRules = field(default_factory=RoleRules)
    """What people may ask for at most, by role."""

    async def keys_of(self, project_id: str) -> Keys:
        """Return the keys of a project: its own, then the environment's, then those of `.env`."""
        return await self.shop.keys(project_id)

    async def of_project(self, project_id: str) -> Studio:
        """Return the studio with a project's keys for the installation's."""
        return replace(self, keys=await self.keys_of(project_id))

    def missing(self, provider: Provider) -> str | None:
        """Say what a provider needs first, with the keys that are there; None: ready."""
        return self.keys.missing(provider)

    @property
    def desk_lock(self) -> Path:
        """Whoever locks this file works all queued runs of the database beside it."""
        url = make_url(self.shop.db.url)
        if self.shop.db.is_sqlite and url.database:
            return Path(url.database).with_suffix(".desk.lock")
        return self.home / "desk.lock"
