"""WEB-5: the flags of `maquette user`."""

from __future__ import annotations

import asyncio
import io
import shlex
import sys
from collections.abc import Iterator

import pytest
from tests.cli.conftest import Said, Workplace
from tests.cli.rows import Doing, Row, Shows, is_json, works

from maquette import bootstrap
from maquette.core.people import Caller, Role, Scope
from maquette.services import keys, people
from maquette.settings import load

PASSWORD = "correct horse battery"  # noqa: S105 - of people who do not exist


def typed(place: Workplace, words: str, text: str = PASSWORD) -> Said:
    """Run a command line that reads `text`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdin", io.StringIO(f"{text}\n"))
        return place(*shlex.split(words))


def with_input(words: str) -> Doing:
    """Run a command line, once, with a password at its standard input."""
    return lambda place: place.once(("typed", words), lambda: typed(place, words))


def of(name: str, words: str, before: str = "") -> Doing:
    """Make an account of that name, change it and run a command line about it."""

    def work(place: Workplace) -> Said:
        assert typed(place, f"user create {name} --password-stdin").status == 0
        if before:
            assert place(*shlex.split(f"user set {name} {before}")).status == 0
        return place(*shlex.split(words.replace("NAME", name)))

    return lambda place: place.once(("of", name, words), lambda: work(place))


def keyed(name: str, flags: str) -> Doing:
    """List the keys of somebody who has one; `ID` among the flags is its id."""

    async def make(place: Workplace) -> str:
        async with bootstrap.open_studio(load(home=place.home)) as studio:
            person = await people.show(studio, name)
            caller = Caller(person.id, name, Role.CREATOR)
            return (await keys.make(studio, caller, "k", [Scope.READ], None))[0].id

    def work(place: Workplace) -> Said:
        assert typed(place, f"user create {name} --password-stdin").status == 0
        return place("user", "keys", name, *flags.replace("ID", asyncio.run(make(place))).split())

    return lambda place: place.once(("keyed", name, flags), lambda: work(place))


def tells(member: str, value: object) -> Shows:
    return lambda said: said.status == 0 and said.json[member] == value


def _rows() -> Iterator[Row]:
    made = "user create {} --password-stdin --json"
    plain = with_input(made.format("pat"))
    viewer = with_input(f"{made.format('vera')} --role viewer")
    yield Row("user create", "--role", viewer, plain, tells("role", "viewer"))
    asked = with_input("user create quin --json")
    yield Row("user create", "--password-stdin", plain, asked, works)
    spoken = with_input("user create rose --password-stdin")
    yield Row("user create", "--json", plain, spoken, is_json)
    listed = of("sam", "user list --json")
    yield Row("user list", "--json", listed, of("tess", "user list"), is_json)
    changes: dict[str, tuple[str, object]] = {
        "--role viewer": ("role", "viewer"),
        "--disable": ("disabled", True),
        "--verified": ("verified", True),
        "--quota-mb 2": ("quota_bytes", 2 * 1024 * 1024),
        "--spend-cap 1.25": ("spend_cap", "1.25"),
    }
    same = of("uma", "user set NAME --json")
    for number, (given, (member, value)) in enumerate(changes.items()):
        changed = of(f"v{number}", f"user set NAME --json {given}")
        yield Row("user set", given.split()[0], changed, same, tells(member, value))
    for number, (back, before, member) in enumerate(
        (("--enable", "--disable", "disabled"), ("--unverified", "--verified", "verified"))
    ):
        undone = of(f"w{number}", f"user set NAME --json {back}", before)
        left = of(f"x{number}", "user set NAME --json", before)
        yield Row("user set", back, undone, left, tells(member, value=False))
    yield Row("user set", "--json", same, of("yan", "user set NAME"), is_json)
    reset = "user reset-password pat"
    yield Row(
        "user reset-password",
        "--password-stdin",
        _after(plain, f"{reset} --password-stdin"),
        _after(plain, reset),
        works,
    )
    shown = keyed("zoe", "--json")
    yield Row("user keys", "--json", shown, keyed("zia", ""), is_json)
    revoked = keyed("zack", "--json --revoke ID")
    yield Row("user keys", "--revoke", revoked, shown, lambda said: said.json == [])


def _after(first: Doing, words: str) -> Doing:
    def work(place: Workplace) -> Said:
        assert first(place).status == 0
        return typed(place, words)

    return lambda place: place.once(words, lambda: work(place))


ROWS = tuple(_rows())
