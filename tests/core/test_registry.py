"""The registry of plugins."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from maquette.core.errors import UnknownPlugin
from maquette.core.registry import Registry


def install(folder: Path, name: str, points: str) -> None:
    """Leave what pip leaves of a package."""
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[test]\n{points}\n")


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that Python looks for packages in, with one that offers two numbers."""
    install(tmp_path, "numbers", "good = math:pi\nbad = no_such_module:thing")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    return tmp_path


@pytest.fixture
def plugins(packages: Path) -> Registry[float]:
    assert packages.is_dir()
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


@pytest.mark.usefixtures("packages")
def test_loading_can_be_limited() -> None:
    made: Registry[float] = Registry("number")
    made.discover("test", only={"good"})
    assert list(made) == ["good"]


def test_a_package_that_comes_or_goes_is_noticed(packages: Path) -> None:
    """What is installed is read once, and again when it changed."""
    for names in (["bad", "good"], ["bad", "good", "late"], ["bad", "good"]):
        if "late" in names:
            install(packages, "latecomer", "late = math:e")
        elif (packages / "latecomer-1.0.dist-info").exists():
            shutil.rmtree(packages / "latecomer-1.0.dist-info")
        made: Registry[float] = Registry("number")
        made.discover("test")
        assert list(made) == names
