"""What a row of the table of flags is made of."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.cli.conftest import Said, Workplace

Doing = Callable[["Workplace"], "Said"]
Shows = Callable[["Said"], bool]


@dataclass(frozen=True)
class Row:
    """One flag: a command line with it, one without it, and what only the first shows."""

    command: str
    flag: str
    done: Doing
    without: Doing
    shows: Shows

    @property
    def name(self) -> str:
        return f"{self.command} {self.flag}".strip()


def line(words: str) -> Doing:
    """Run a command line; the same words are run once."""
    return lambda place: place.once(words, lambda: place(*shlex.split(words)))


def pair(command: str, name: str, on_off: tuple[Doing, Doing], shows: Shows) -> Iterator[Row]:
    """Give `--x` and `--no-x` a row each; what one shows, the other must not."""
    on, off = on_off
    yield Row(command, f"--{name}", on, off, shows)
    yield Row(command, f"--no-{name}", off, on, lambda said: not shows(said))


def works(said: Said) -> bool:
    return said.status == 0


def refused(code: str, *words: str) -> Shows:
    """Tell whether the command refused in these words, with exit status 2."""

    def shows(said: Said) -> bool:
        if said.status != 2:
            return False
        message = said.error["message"]
        return said.error["code"] == code and all(word in message for word in words)

    return shows


def is_json(said: Said) -> bool:
    return said.is_json


def elsewhere(words: str, variables: dict[str, str]) -> Doing:
    """Run a command with these in the environment."""
    key = tuple(variables), words
    return lambda place: place.once(key, lambda: place.with_variables(variables)(*words.split()))
