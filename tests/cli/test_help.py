"""Help is quick, complete, and in sentences."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from typer.main import get_command

from maquette.cli.app import app

if TYPE_CHECKING:
    from tests.cli.conftest import Workplace

HEAVY = (
    "alembic",
    "cv2",
    "dbos",
    "numba",
    "numpy",
    "PIL",
    "psycopg",
    "pydantic_settings",
    "pyvips",
    "rich",
    "sqlalchemy",
)
"""What takes longer to import than the whole help may take."""

_LOADED = """
import json, sys
from maquette import cli
sys.argv = ["maquette", *sys.argv[1:]]
try:
    cli.main()
finally:
    sys.stderr.write(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
"""


def _commands() -> Iterator[tuple[tuple[str, ...], Any]]:
    def walk(command: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
        yield path, command
        for name, inner in getattr(command, "commands", {}).items():
            yield from walk(inner, (*path, name))

    yield from walk(get_command(app), ())


COMMANDS = dict(_commands())


def _in_a_process(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", _LOADED, *words],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )


def test_help_imports_nothing_heavy() -> None:
    """`maquette --help` within 0.3 s: what is not imported costs nothing."""
    loaded = json.loads(_in_a_process("--help").stderr)
    assert "typer" in loaded
    assert [name for name in HEAVY if name in loaded] == []


@pytest.mark.parametrize("words", ["run --help", "spend --help", "--version"])
def test_the_help_of_a_command_imports_nothing_heavy(words: str) -> None:
    loaded = json.loads(_in_a_process(*words.split()).stderr)
    assert [name for name in HEAVY if name in loaded] == []


def test_completing_a_word_imports_nothing_heavy() -> None:
    said = _in_a_process(
        _MAQUETTE_COMPLETE="complete_bash", COMP_WORDS="maquette ru", COMP_CWORD="1"
    )
    assert said.stdout.split() == ["run", "runs"]
    assert [name for name in HEAVY if name in json.loads(said.stderr)] == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_completion_script_is_produced(shell: str) -> None:
    said = _in_a_process(_MAQUETTE_COMPLETE=f"source_{shell}")
    assert f"_MAQUETTE_COMPLETE=complete_{shell}" in said.stdout


def test_help_writes_nothing(tmp_path: Path) -> None:
    _in_a_process("--help", MAQUETTE_HOME=str(tmp_path / "home"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_every_command_says_what_it_does_in_a_sentence(path: tuple[str, ...]) -> None:
    words = (COMMANDS[path].help or "").strip()
    first = words.splitlines()[0]
    assert first[0].isupper()
    assert first.endswith(".")


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_every_parameter_says_what_it_does(path: tuple[str, ...]) -> None:
    silent = [
        parameter.name
        for parameter in COMMANDS[path].params
        if not parameter.hidden and not (parameter.help or "").strip()
    ]
    assert silent == []


@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_every_command_shows_its_help(flag: str, place: Workplace) -> None:
    for path in COMMANDS:
        said = place(*path, flag)
        assert said.status == 0
        assert said.out.startswith(" ".join(("Usage: maquette", *path)))
