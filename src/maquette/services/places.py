"""Where a project's files are: its root on this machine, and the bucket that mirrors it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr, ValidationError

from maquette.core.bucket import KEY, KEY_ID, TOKEN, Mirror
from maquette.core.errors import (
    BadParameter,
    CapabilityMissing,
    Conflict,
    Forbidden,
    SecretsLocked,
    UnsafePath,
)
from maquette.core.people import Caller
from maquette.db import events, projects
from maquette.db.engine import Database
from maquette.db.tables import Project
from maquette.folders import Folders
from maquette.jobs.keys import Keys
from maquette.services.studio import GetKey, Studio

SECRETS = {KEY_ID: "S3_ACCESS_KEY_ID", KEY: "S3_SECRET_ACCESS_KEY", TOKEN: "S3_SESSION_TOKEN"}
"""A project's own, set as `s3/access_key_id`, `s3/secret_access_key`, `s3/session_token`."""


@dataclass(frozen=True)
class PlaceFacts:
    """Where a project's files are; never with keys."""

    root: str | None
    exists: bool
    mirror: Mirror | None
    has_keys: bool
    """Whether the mirror's keys are there."""


@dataclass(frozen=True)
class Guard:
    """Where an administrator of a server that many share may put roots."""

    caller: Caller
    roots: Collection[Path]

    def check_admin(self) -> None:
        if not self.caller.is_admin:
            raise Forbidden(
                "Only an administrator may say where a project's files are, or where they are "
                "mirrored to. Ask one."
            )

    def check_root(self, root: Path) -> None:
        self.check_admin()
        real = root.resolve()
        if not any(real.is_relative_to(one.expanduser().resolve()) for one in self.roots):
            raise Forbidden(
                f"{str(root)!r} is below none of the folders that roots may be put in. Whoever "
                "runs the server can list them in MAQUETTE_SERVER__ROOTS."
            )


async def show(studio: Studio, project: Project) -> PlaceFacts:
    """Return where the files are; this looks, and changes nothing."""
    exists = project.root is not None and await asyncio.to_thread(Path(project.root).is_dir)
    keys = await studio.keys_of(project.id)
    return PlaceFacts(project.root, exists, mirror_of(project), _has_keys(keys))


async def set_local(
    studio: Studio, project: Project, root: Path, guard: Guard | None = None
) -> PlaceFacts:
    """Write where the root is. It is made when it is first needed; nothing is moved."""
    path = _absolute(root)
    if guard is not None:
        await asyncio.to_thread(guard.check_root, path)
    folders = studio.shop.open_folders(path)
    await asyncio.to_thread(_check_free, folders, project)
    now = studio.shop.clock.now()
    async with studio.shop.db.write() as session:
        others = await projects.with_root(session, str(folders.root), besides=project.id)
        if others:
            raise Conflict(
                f"The folder {str(folders.root)!r} belongs to the project {others[0]!r}. Give "
                f"{project.slug!r} a folder of its own."
            )
        found = await session.get_one(Project, project.id)
        found.root = str(folders.root)
        events.record(session, "storage_changed", project_id=project.id, at=now, what="local")
    return await show(studio, found)


async def set_mirror(
    studio: Studio, project: Project, mirror: Mirror, guard: Guard | None = None
) -> PlaceFacts:
    """Write where the root is mirrored to; nothing is sent."""
    if guard is not None:
        guard.check_admin()
    now = studio.shop.clock.now()
    async with studio.shop.db.write() as session:
        found = await session.get_one(Project, project.id)
        found.s3 = mirror.model_dump(mode="json")
        events.record(session, "storage_changed", project_id=project.id, at=now, what="s3")
    return await show(studio, found)


def mirror_of(project: Project) -> Mirror | None:
    """Return where the root is mirrored to; None: nobody has said."""
    return None if project.s3 is None else Mirror.model_validate(project.s3)


def checked_mirror(**given: object) -> Mirror:
    """Read a mirror's settings; raise `BadParameter` that names the wrong one."""
    try:
        return Mirror.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"]) or "mirror"
        raise BadParameter(f"The {name} of the mirror cannot be used: {first['msg']}.") from None


def mirror_keys(keys: Keys) -> GetKey:
    """Return the look-up of the mirror's keys: all of them the project's own, or none."""
    if SECRETS[KEY_ID] not in keys.own:
        return keys.installation

    def own(name: str) -> SecretStr:
        if SECRETS[name] not in keys.own:
            raise CapabilityMissing(
                f"The project has an access key id of its own, but no {SECRETS[name].lower()}, so "
                "nothing was sent. `maquette secret set` writes it."
            )
        return keys.get(SECRETS[name])

    return own


def _has_keys(keys: Keys) -> bool:
    look_up = mirror_keys(keys)
    try:
        look_up(KEY_ID)
        look_up(KEY)
    except (CapabilityMissing, SecretsLocked):
        return False
    return True


def _absolute(root: Path) -> Path:
    path = root.expanduser()
    if not path.is_absolute():
        raise BadParameter(f"{str(root)!r} is no absolute path; begin it at the root of the disk.")
    if "\0" in str(path) or ".." in path.parts:
        raise UnsafePath(f"{str(root)!r} cannot be a root; write it without `..`.")
    return Path(os.path.normpath(path))


def _check_free(folders: Folders, project: Project) -> None:
    """Look whether the folder is there already and another's; it need not be there."""
    if folders.root.exists() and not folders.root.is_dir():
        raise BadParameter(f"{str(folders.root)!r} is a file; give a folder, which may be new.")
    folders.check_owner(project.id, project.slug)


async def owner_of(db: Database, private: Path) -> str:
    """Return the id of the project whose private folder this is.

    The root says so itself where it is on this machine; else the database knows the root.
    """
    root = private.parent
    claimed = await asyncio.to_thread(Folders(root).owner)
    if claimed is not None and claimed[0] is not None:
        return claimed[0]
    async with db.read() as session:
        found = await projects.at_root(session, str(root))
    if len(found) != 1:
        raise Conflict(
            f"It cannot be told whose pictures those of {str(root)!r} are: "
            f"{'several projects were' if found else 'no project is'} there. Say it with `maquette "
            "project storage set-local NAME --root DIR`."
        )
    return found.pop()
