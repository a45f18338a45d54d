"""A place to run commands in: a home, a root, pictures, and a scripted provider beside `proof`.

Commands run in this process through `maquette.cli.main`, so a test sees exactly what a shell does:
the exit status, standard output and standard error.
"""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, redirect_stderr, redirect_stdout
from copy import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.lending import furnish

from maquette import bootstrap, cli
from maquette.imaging import png
from maquette.services.studio import Studio
from maquette.settings import Settings
from maquette.testing.scripted import Act, Books, ScriptedProvider

_open_studio = bootstrap.open_studio


@dataclass(frozen=True)
class Said:
    """What a command left behind."""

    words: tuple[str, ...]
    status: int
    out: str
    err: str
    place: Path

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def is_json(self) -> bool:
        try:
            json.loads(self.out)
        except ValueError:
            return False
        return True

    @property
    def error(self) -> dict[str, str]:
        """The one JSON error that `--json` promises on standard error."""
        lines = [line for line in self.err.splitlines() if line.startswith("{")]
        assert len(lines) == 1, self.err
        document = json.loads(lines[0])
        assert document.keys() == {"error"}
        assert document["error"].keys() == {"code", "message"}
        return document["error"]

    @property
    def log(self) -> dict[str, Any]:
        """The run log that a run's summary names."""
        return json.loads(Path(self.json["log"]).read_bytes())


class Workplace:
    """Commands and files of one imaginary person."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.home = folder / "home"
        self.root = folder / "root"
        self.scenes = folder / "scenes"
        self.books = Books(folder / "other-side")
        self.script: list[Act] = []
        self.price = "0.04"
        self._done: dict[object, Said] = {}
        self._variables: dict[str, str] = {}
        self.scenes.mkdir(parents=True)
        for seed, name in enumerate(("coast", "dunes")):
            (self.scenes / f"{name}.png").write_bytes(picture(seed))

    def __call__(self, *words: str | Path) -> Said:
        """Run a command line; relative paths are relative to the place."""
        given = tuple(str(word) for word in words)
        out, err, status = io.StringIO(), io.StringIO(), 0
        with pytest.MonkeyPatch.context() as patch:
            for name in [name for name in os.environ if name.startswith("MAQUETTE_")]:
                patch.delenv(name)
            patch.chdir(self.folder)
            patch.setenv("MAQUETTE_HOME", str(self.home))
            patch.setenv("MAQUETTE_WORKERS__COUNT", "1")
            patch.setenv("MAQUETTE_RETRIES__FIRST_WAIT_S", "0.01")
            for name, value in self._variables.items():
                patch.setenv(name, value)
            patch.setattr(bootstrap, "open_studio", self._opened)
            patch.setattr(sys, "argv", ["maquette", *given])
            with redirect_stdout(out), redirect_stderr(err):
                try:
                    cli.main()
                except SystemExit as left:
                    status = int(left.code or 0)
        return Said(given, status, out.getvalue(), err.getvalue(), self.folder)

    def with_variables(self, variables: dict[str, str]) -> Workplace:
        """Return the same place where these are set in the environment."""
        other = copy(self)
        other._variables = variables
        return other

    def once(self, key: object, work: Callable[[], Said]) -> Said:
        """Do a piece of work the first time it is asked for; later only tell of it."""
        if key not in self._done:
            self._done[key] = work()
        return self._done[key]

    def fresh_root(self) -> Path:
        """Return a root that nothing was written to yet."""
        roots = self.folder / "roots"
        roots.mkdir(exist_ok=True)
        root = roots / f"r{len(list(roots.iterdir()))}"
        root.mkdir()
        return root

    @asynccontextmanager
    async def _opened(self, settings: Settings) -> AsyncGenerator[Studio]:
        furnish(settings)
        scripted = ScriptedProvider(self.books, self.script, price=self.price)
        async with _open_studio(settings, providers={"scripted": scripted}) as studio:
            yield studio


def picture(seed: int = 0, size: tuple[int, int] = (24, 32)) -> bytes:
    """Make a small colourful PNG of (height, width)."""
    return png.write(np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8))


@pytest.fixture
def place(tmp_path: Path) -> Workplace:
    """A place of the test's own."""
    return Workplace(tmp_path / "place")


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Workplace:
    """A place that the tests of a module share."""
    return Workplace(tmp_path_factory.mktemp("shared") / "place")
