"""The registry of plugins."""

from __future__ import annotations

from importlib.metadata import EntryPoint

import pytest

from maquette.core import registry
from maquette.core.errors import UnknownPlugin
from maquette.core.registry import Registry

GOOD = EntryPoint("good", "math:pi", "test")
BAD = EntryPoint("bad", "no_such_module:thing", "test")


@pytest.fixture
def plugins(monkeypatch: pytest.MonkeyPatch) -> Registry[float]:
    def found(*, group: str) -> list[EntryPoint]:
        return [GOOD, BAD] if group == "test" else []

    monkeypatch.setattr(registry, "entry_points", found)
    made: Registry[float] = Registry("number")
    made.discover("test")
    return made


def test_what_was_added_is_found() -> None:
    numbers = Registry("number", {"one": 1})
    numbers.add({"two": 2})
    assert (numbers["one"], numbers["two"], list(numbers), len(numbers)) == (
        1,
        2,
        ["one", "two"],
        2,
    )


def test_a_clash_changes_nothing() -> None:
    numbers = Registry("number", {"one": 1})
    with pytest.raises(ValueError, match="'one'"):
        numbers.add({"two": 2, "one": 11})
    assert list(numbers) == ["one"]
    assert numbers["one"] == 1


def test_a_plugin_cannot_take_a_discovered_name(plugins: Registry[float]) -> None:
    with pytest.raises(ValueError, match="'good'"):
        plugins.add({"good": 3.0})
    with pytest.raises(ValueError, match="'good'"):
        plugins.discover("test")


def test_an_unknown_name_suggests_a_near_one() -> None:
    with pytest.raises(UnknownPlugin, match="Did you mean 'resample'"):
        Registry("operation", {"resample": 1})["resmaple"]


def test_an_unknown_name_lists_what_there_is() -> None:
    with pytest.raises(UnknownPlugin, match="There are: a, b"):
        Registry("operation", {"b": 1, "a": 2})["zzz"]
    with pytest.raises(UnknownPlugin, match="There are: none"):
        Registry[int]("operation")["zzz"]


def test_a_discovered_plugin_is_loaded_when_asked_for(plugins: Registry[float]) -> None:
    assert "good" in plugins
    assert plugins["good"] == pytest.approx(3.14159, abs=1e-5)


def test_a_broken_plugin_stops_nothing_and_says_why(plugins: Registry[float]) -> None:
    assert plugins["good"] > 3
    assert plugins.get("bad") is None
    with pytest.raises(UnknownPlugin, match=r"no_such_module.*maquette plugins"):
        plugins["bad"]
    assert isinstance(plugins.broken["bad"], ModuleNotFoundError)


def test_loading_all_completes_the_list_of_the_broken(plugins: Registry[float]) -> None:
    plugins.load_all()
    assert list(plugins.broken) == ["bad"]
    assert list(plugins) == ["good"]


def test_loading_can_be_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    def found(*, group: str) -> list[EntryPoint]:
        assert group == "test"
        return [GOOD, BAD]

    monkeypatch.setattr(registry, "entry_points", found)
    made: Registry[float] = Registry("number")
    made.discover("test", only={"good"})
    assert list(made) == ["good"]
