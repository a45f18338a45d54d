"""Passwords: what a hash costs who tries them all."""

from __future__ import annotations

import pytest
from argon2 import Type, extract_parameters

from maquette.services import passwords
from maquette.services.passwords import _nobodys  # pyright: ignore[reportPrivateUsage]

pytestmark = pytest.mark.usefixtures("dear_passwords")


async def test_a_guess_takes_much_memory_and_time() -> None:
    """RFC 9106, section 4: the second recommended option, for machines with little memory."""
    price = extract_parameters(await passwords.hashed("a long enough one"))
    assert price.type is Type.ID
    assert price.memory_cost >= 64 * 1024
    assert price.time_cost >= 3


async def test_a_name_that_nobody_has_costs_the_same() -> None:
    assert not await passwords.matches("a long enough one", None)
    stored = await passwords.hashed("a long enough one")
    assert extract_parameters(_nobodys()) == extract_parameters(stored)


async def test_the_right_password_matches_however_its_accents_are_written() -> None:
    stored = await passwords.hashed("caf\u00e9 au lait")
    assert await passwords.matches("cafe\u0301 au lait", stored)
    assert not await passwords.matches("cafe au lait", stored)
