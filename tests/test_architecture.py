"""Rules that every file keeps, checked by reading the code."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from maquette.cli import exits
from maquette.core import errors
from maquette.core.errors import MaquetteError
from maquette.core.operation import Operation
from maquette.core.registry import Registry

REPOSITORY = Path(__file__).parents[1]
SRC = REPOSITORY / "src" / "maquette"
LOCKS = sorted(REPOSITORY.glob("requirements*.lock"))
LONGEST = 350
KNOWN_PROVIDERS = {
    "proof",
    "scripted",
    "openai",
    "comfyui",
    "a1111",
    "diffusers",
    "photoroom",
    "removebg",
}


def tree(root: type[MaquetteError] = MaquetteError) -> Iterator[type[MaquetteError]]:
    """Walk the error classes of the product."""
    yield root
    for child in root.__subclasses__():
        if child.__module__.startswith("maquette."):
            yield from tree(child)


def named(kind: type[MaquetteError]) -> str:
    return kind.__name__


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def sources() -> list[Path]:
    return sorted(SRC.rglob("*.py"))


def relative(path: Path) -> str:
    return path.relative_to(SRC).as_posix()


@pytest.mark.parametrize("kind", list(tree()), ids=named)
def test_every_error_says_what_it_means(kind: type[MaquetteError]) -> None:
    assert kind.__dict__.get("__doc__"), "a docstring of its own"


@pytest.mark.parametrize("kind", list(tree()), ids=named)
def test_every_error_lives_in_one_file(kind: type[MaquetteError]) -> None:
    assert kind.__module__ == errors.__name__


def test_every_error_has_a_code_of_its_own() -> None:
    codes = [kind.code for kind in tree()]
    assert len(codes) == len(set(codes))
    assert all(re.fullmatch(r"[a-z]+(-[a-z]+)*", code) for code in codes)


@pytest.mark.parametrize("kind", list(tree())[1:], ids=named)
def test_every_error_stands_in_the_drawn_tree(kind: type[MaquetteError]) -> None:
    """Under its own parent: a branch `├── Parent`, then its children until the next branch."""
    drawn = (errors.__doc__ or "").split("No error knows")[0]
    branches = re.split(r"[├└]──(?= [A-Z]\w+ {2,})", drawn)[1:]
    found = {re.findall(r"\b[A-Z]\w+", part)[0]: part for part in branches}
    parent = kind.__bases__[0].__name__
    if parent == "MaquetteError":
        assert kind.__name__ in found
    else:
        assert re.search(rf"\b{kind.__name__}\b", found[parent])


def test_the_drawn_tree_names_no_error_that_is_gone() -> None:
    drawn = (errors.__doc__ or "").split("No error knows")[0]
    words = set(re.findall(r"\b[A-Z][a-z]+(?:[A-Z][a-z]+)*\b", drawn)) - {"Every"}
    words = {one for one in words if one + "Error" != "MaquetteError"}
    assert words == {kind.__name__ for kind in tree()}


@pytest.mark.parametrize("kind", list(tree()), ids=named)
def test_every_error_has_an_exit_status(kind: type[MaquetteError]) -> None:
    """Never 0: what failed must not look done."""
    status = exits.status_of(kind("x"))
    assert status in exits.Exit
    assert status is not exits.Exit.DONE


def provider_words(path: Path) -> list[str]:
    """Return the string literals of a file that are a provider's id, or begin with `id:`."""
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    return [
        f"{relative(path)}:{node.lineno} {node.value!r}"
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and id(node) not in docstrings
        and node.value.partition(":")[0] in KNOWN_PROVIDERS
    ]


def test_no_provider_is_named_outside_its_own_room() -> None:
    """What differs between providers is data in their profiles, never an `if` by name."""
    rooms = ("providers/", "testing/")
    found = [
        word
        for path in sources()
        if not relative(path).startswith(rooms)
        for word in provider_words(path)
    ]
    assert found == []


def test_the_search_for_provider_names_finds_them() -> None:
    """The test above can fail."""
    assert provider_words(SRC / "providers" / "proof" / "provider.py")


def test_every_provider_is_searched_for() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))
    installed = set(project["project"]["entry-points"]["maquette.providers"])
    assert installed <= KNOWN_PROVIDERS | {"maquette"}


def operations() -> list[str]:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))
    return sorted(project["project"]["entry-points"]["maquette.operations"])


@pytest.mark.parametrize("name", operations())
def test_every_operation_names_its_sources(name: str) -> None:
    registry: Registry[Operation[Any]] = Registry("operation")
    registry.discover("maquette.operations")
    assert all(source.strip() for source in registry[name].sources)
    assert registry[name].sources


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_locked_dependencies_have_hashes(lock: Path) -> None:
    """D14."""
    entries = re.split(r"\n(?=\S)", re.sub(r"(?m)^\s*#.*\n?", "", lock.read_text()).strip())
    assert entries
    assert [one.split()[0] for one in entries if "--hash=sha256:" not in one] == []
    assert [one.split()[0] for one in entries if "==" not in one.split()[0]] == []


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_lock_files_name_no_address(lock: Path) -> None:
    """D14: whoever installs chooses the index."""
    assert (
        re.findall(r"(?i)https?://|--(?:extra-)?index-url|--find-links|--trusted", lock.read_text())
        == []
    )


def test_there_are_lock_files() -> None:
    assert {lock.name for lock in LOCKS} >= {"requirements.lock", "requirements-dev.lock"}


@pytest.mark.parametrize("path", sources(), ids=relative)
def test_no_file_is_too_long(path: Path) -> None:
    """A longer file is a question: which two nouns live in it?"""
    if "migrations/versions" in relative(path):
        pytest.skip("a migration is generated, and never edited once it is out")
    if relative(path) == "core/errors.py":
        pytest.skip("one list of small classes is one noun, however long")
    lines = len(path.read_text(encoding="utf-8").splitlines())
    assert lines <= LONGEST


@pytest.mark.parametrize("path", sources(), ids=relative)
def test_every_file_says_what_it_is(path: Path) -> None:
    module = parsed(path)
    assert ast.get_docstring(module) or not module.body


def test_only_the_settings_read_the_environment() -> None:
    """Settings are read in one place and handed down."""
    readers = {
        relative(path)
        for path in sources()
        for node in ast.walk(parsed(path))
        if (isinstance(node, ast.Attribute) and node.attr in {"environ", "getenv"})
        or (isinstance(node, ast.alias) and node.name in {"environ", "getenv"})
    }
    assert readers <= {"settings.py"}
