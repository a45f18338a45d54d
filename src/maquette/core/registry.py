"""What plugins offer, by id."""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterator, Mapping
from difflib import get_close_matches
from functools import lru_cache
from importlib.metadata import EntryPoint, EntryPoints, entry_points
from pathlib import Path
from typing import Generic, TypeVar

from maquette.core.errors import UnknownPlugin

T = TypeVar("T")


class Registry(Generic[T]):
    """An instance, never a module global: a test makes its own.

    `add` changes nothing when it raises. An entry point is imported when its id is first
    asked for; one that fails to import is kept in `broken` and never stops the program.
    """

    def __init__(self, kind: str, items: Mapping[str, T] | None = None) -> None:
        self.kind = kind
        self.broken: dict[str, Exception] = {}
        self._items: dict[str, T] = dict(items or {})
        self._points: dict[str, EntryPoint] = {}

    def add(self, items: Mapping[str, T]) -> None:
        clash = items.keys() & (self._items.keys() | self._points.keys())
        if clash:
            raise ValueError(f"Two {self.kind}s are called {sorted(clash)!r}.")
        self._items = {**self._items, **items}

    def discover(self, group: str, only: Collection[str] | None = None) -> None:
        """Take in the entry points of a group; `only` limits them to those ids."""
        points = {
            point.name: point
            for point in _installed(group, _places())
            if only is None or point.name in only
        }
        clash = points.keys() & (self._items.keys() | self._points.keys())
        if clash:
            raise ValueError(f"Two {self.kind}s are called {sorted(clash)!r}.")
        self._points = {**self._points, **points}

    def load_all(self) -> None:
        """Import every entry point, so that `broken` is complete."""
        for name in list(self._points):
            self._load(name)

    def get(self, name: str) -> T | None:
        """Return the item, or None where there is none or it cannot be imported."""
        if name not in self._items and name in self._points:
            self._load(name)
        return self._items.get(name)

    def __getitem__(self, name: str) -> T:
        found = self.get(name)
        if found is not None:
            return found
        if name in self.broken:
            raise UnknownPlugin(
                f"The {self.kind} {name!r} cannot be loaded: {self.broken[name]}. "
                "`maquette plugins` shows the whole error."
            )
        near = get_close_matches(name, list(self), n=1)
        hint = f"Did you mean {near[0]!r}?" if near else f"There are: {', '.join(self) or 'none'}."
        raise UnknownPlugin(f"No {self.kind} is called {name!r}. {hint}")

    def __contains__(self, name: object) -> bool:
        return name in self._items or name in self._points

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._items.keys() | self._points.keys()))

    def __len__(self) -> int:
        return len(self._items.keys() | self._points.keys())

    def _load(self, name: str) -> None:
        point = self._points.pop(name)
        try:
            self._items[name] = point.load()
        except Exception as error:  # noqa: BLE001 - a plugin may raise anything
            self.broken[name] = error


@lru_cache(maxsize=8)
def _installed(group: str, _places: tuple[tuple[str, int], ...]) -> EntryPoints:
    """Read what all packages offer, once: it takes 10 ms, and every studio asks six times."""
    return entry_points(group=group)


def _places() -> tuple[tuple[str, int], ...]:
    """Say where packages are, and when one last came or went."""
    return tuple((one, _changed(Path(one))) for one in sys.path)


def _changed(folder: Path) -> int:
    try:
        return folder.stat().st_mtime_ns
    except OSError:
        return 0
