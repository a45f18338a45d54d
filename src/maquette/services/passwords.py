"""Passwords: argon2id, in threads of their own, and as slow for a name that nobody has."""

from __future__ import annotations

import asyncio
import unicodedata
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from maquette.core.errors import BadParameter

SHORTEST = 10
LONGEST = 1024
_AT_ONCE = 4
"""Each takes 64 MiB for a tenth of a second."""


async def hashed(password: str) -> str:
    """Hash a new password; raise `BadParameter` where it is too short or too long."""
    password = _one_form(password)
    if not SHORTEST <= len(password) <= LONGEST:
        raise BadParameter(f"A password has {SHORTEST} to {LONGEST} characters; choose another.")
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(_threads(), PasswordHasher().hash, password)


async def matches(password: str, stored: str | None) -> bool:
    """Say whether it is the password; it takes as long where there is none to compare with."""
    loop = asyncio.get_running_loop()
    known = stored or _nobodys()
    same = await loop.run_in_executor(_threads(), _verified, _one_form(password), known)
    return same and stored is not None


def _verified(password: str, stored: str) -> bool:
    with suppress(VerificationError, InvalidHashError):
        return PasswordHasher().verify(stored, password)
    return False


@cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(_AT_ONCE, "passwords")


@cache
def _nobodys() -> str:
    """Return a hash of the same cost that no password has."""
    cost = PasswordHasher()
    costs = f"m={cost.memory_cost},t={cost.time_cost},p={cost.parallelism}"
    return f"$argon2id$v=19${costs}${'A' * 22}${'A' * 43}"


def _one_form(password: str) -> str:
    """Write a letter with an accent as one character, whatever the keyboard sends."""
    return unicodedata.normalize("NFC", password)
