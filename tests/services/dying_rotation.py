"""Kill a rotation of the master key with SIGKILL at every line, and look what is left.

A script of its own, run by `test_vault.py`: it forks a child for each line. Prints how many were
killed, whose secrets were lost, and in which states the rows and key files were found.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import sys
import threading
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, cast

from pydantic import SecretStr

from maquette import bootstrap, disk
from maquette.core.errors import CapabilityMissing
from maquette.core.registry import Registry
from maquette.db import secrets as rows
from maquette.db.engine import Database
from maquette.services import projects, rotating, secrets, vault
from maquette.services.studio import Studio
from maquette.services.vault import Vault
from maquette.settings import load

_WATCHED = {module.__file__ for module in (disk, rows, rotating, vault)}
VALUE = "sk-CANARY-0123456789"


class Killer:
    """Counts the lines of the watched files, and kills the process at one of them."""

    def __init__(self, at: int) -> None:
        self._left = at

    def __call__(self, frame: FrameType, event: str, _argument: object) -> Any:
        if frame.f_code.co_filename not in _WATCHED:
            return None
        if event == "line":
            self._left -= 1
            if self._left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
        return self


async def prepare(home: Path) -> str:
    async with bootstrap.open_studio(load(home=home)) as studio:
        await projects.create(studio, "p", name=None, root=None, default_root=False)
        project = await projects.find(studio, "p")
        for provider in ("one", "two"):
            await secrets.put(studio, project.id, provider, "key", SecretStr(VALUE))
        return project.id


@dataclass(frozen=True)
class Shop:
    """The part of a workshop that a rotation touches."""

    db: Database


@dataclass(frozen=True)
class Light:
    """The part of a studio that a rotation touches: the rest would take most of the time."""

    shop: Shop
    vault: Vault


@asynccontextmanager
async def opened(home: Path) -> AsyncGenerator[Studio]:
    db = Database(f"sqlite:///{home / 'app.db'}")
    try:
        yield cast("Studio", Light(Shop(db), Vault(home)))
    finally:
        await db.close()


def no_other(name: str) -> SecretStr:
    raise CapabilityMissing(f"The key {name} is not set.")


async def die(home: Path, at: int) -> None:
    async with opened(home) as studio:
        killer = Killer(at)
        threading.settrace(killer)
        sys.settrace(killer)
        await rotating.rotate(studio)
        sys.settrace(None)
        threading.settrace(None)


async def state_of(studio: Studio, first: str) -> str:
    async with studio.shop.db.read() as session:
        [used] = await rows.key_ids(session)
    if used == first:
        return "before"
    successor = studio.vault.successor()
    return "done" if successor is None or successor.id != used else "committed"


async def look(home: Path, project_id: str, first: str) -> tuple[str, bool]:
    """Return where the rotation stood, and whether both secrets open, now and after another."""
    async with opened(home) as studio:
        state = await state_of(studio, first)
        whole = True
        ring = secrets.Ring(studio.shop.db, studio.vault, Registry("provider"), no_other)
        for _ in range(2):
            keys = await ring(project_id)
            found = [keys.get(name).get_secret_value() for name in ("ONE_KEY", "TWO_KEY")]
            whole = whole and found == [VALUE] * 2
            if state == "committed":
                whole = whole and studio.vault.successor() is None
            await rotating.rotate(studio)
        return state, whole


def forked(work: Any) -> int:
    """Do it in a child; return the signal that ended it."""
    child = os.fork()
    if child == 0:
        asyncio.run(work)
        os._exit(0)
    work.close()
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return os.WTERMSIG(status)
    return -os.WEXITSTATUS(status)


def main(folder: Path) -> None:
    template = folder / "template"
    project_id = asyncio.run(prepare(template))
    first = Vault(template).current().id
    killed, lost, states = 0, list[int](), set[str]()
    for at in range(1, 2000):
        home = folder / str(at)
        shutil.copytree(template, home)
        ended = forked(die(home, at))
        state, whole = asyncio.run(look(home, project_id, first))
        states.add(state)
        if not whole:
            lost.append(at)
        shutil.rmtree(home)
        if ended != signal.SIGKILL:
            assert ended == 0, ended
            break
        killed += 1
    print(json.dumps({"killed": killed, "lost": lost, "states": sorted(states)}))  # noqa: T201 - the answer


if __name__ == "__main__":
    main(Path(sys.argv[1]))
