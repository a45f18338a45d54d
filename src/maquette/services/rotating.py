"""Replacing the master key: every secret sealed anew in one commit, whenever it is interrupted.

The successor is written beside the present key first. The rows say which of the two counts: once
one carries the successor's id, all do, and it is put in place by whoever comes next.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from filelock import Timeout
from pydantic import SecretStr

from maquette.core.errors import BadParameter, ProjectBusy, SecretsLocked
from maquette.db import secrets
from maquette.disk import explained
from maquette.services.studio import Studio
from maquette.services.vault import MasterKey, Place, Sealed, Vault, sealed


@dataclass(frozen=True)
class Rotated:
    """What a rotation did."""

    key_id: str
    secrets: int
    kept: Path | None
    """Where the replaced key lies; backups of the database need it. None: a person holds it."""


async def settle(vault: Vault, used: Collection[str]) -> None:
    """Finish the rotation of a process that died after its commit."""
    successor = None if vault.is_given else await asyncio.to_thread(vault.successor)
    if successor is None or successor.id not in used:
        return
    lock = vault.lock()
    try:
        lock.acquire(timeout=0)
    except (Timeout, OSError):  # the rotation is still going on, or is not ours to finish
        return
    try:
        if await asyncio.to_thread(vault.successor) == successor:
            await asyncio.to_thread(vault.install_successor)
    finally:
        lock.release()


async def rotate(studio: Studio, given: SecretStr | None = None) -> Rotated:
    """Seal every secret of every project anew, with a fresh key or a given one."""
    vault = studio.vault
    present = await asyncio.to_thread(vault.current)
    if given is not None:
        fresh = MasterKey.parse(given.get_secret_value(), "The text that was given")
    elif vault.is_given:
        raise BadParameter(
            "The master key comes from the environment, so give the new one: "
            "`openssl rand -base64 32 > FILE`, then `maquette secret rotate-key --new-key-stdin "
            "< FILE`. Nothing was changed."
        )
    else:
        fresh = MasterKey.fresh()
    if fresh.id == present.id:
        raise BadParameter("The new master key is the present one. Nothing was changed.")
    lock = vault.lock()
    with explained(vault.file):
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise ProjectBusy("Another rotation is under way; wait until it has ended.") from None
    try:
        return await _rotated(studio, fresh)
    finally:
        lock.release()


async def _rotated(studio: Studio, fresh: MasterKey) -> Rotated:
    vault = studio.vault
    if vault.is_given:
        return Rotated(fresh.id, await _seal_anew(studio, fresh), None)
    async with studio.shop.db.read() as session:
        used = await secrets.key_ids(session)
    successor = await asyncio.to_thread(vault.successor)
    if successor is not None and successor.id in used:
        await asyncio.to_thread(vault.install_successor)
    await asyncio.to_thread(vault.write_successor, fresh)
    try:
        count = await _seal_anew(studio, fresh)
    except SecretsLocked:  # rolled back: no row carries the successor's id
        await asyncio.to_thread(vault.drop_successor)
        raise
    return Rotated(fresh.id, count, await asyncio.to_thread(vault.install_successor))


async def _seal_anew(studio: Studio, fresh: MasterKey) -> int:
    async with studio.shop.db.write() as session:
        rows = await secrets.everyone(session)
        for row in rows:
            place = Place(row.project_id, row.provider, row.name)
            value = studio.vault.open(place, Sealed(row.sealed, row.key_id))
            made = sealed(fresh, place, value)
            row.sealed, row.key_id = made.data, made.key_id
    return len(rows)
