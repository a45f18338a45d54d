"""Where a project's files are: said each time, or written once, never guessed."""

from __future__ import annotations

from pathlib import Path

import pytest

from maquette.core.errors import AlreadyExists, BadParameter, ProjectNotFound
from maquette.folders import SHOWN
from maquette.services import projects
from tests.conftest import Opener


async def test_a_project_without_a_root_fails_with_both_ways_out(open_studio: Opener) -> None:
    """LAB-3."""
    async with open_studio() as studio:
        await projects.create(studio, "demo", name=None, root=None, default_root=False)
        with pytest.raises(BadParameter, match=r"--project-root DIR.*storage set-local demo"):
            await projects.root_of(studio, "demo", None)


async def test_the_setting_in_the_database_is_the_root(open_studio: Opener, root: Path) -> None:
    """LAB-3."""
    async with open_studio() as studio:
        await projects.create(studio, "demo", name=None, root=root, default_root=False)
        assert await projects.root_of(studio, "demo", None) == root


async def test_project_root_wins_over_the_setting(
    open_studio: Opener, root: Path, tmp_path: Path
) -> None:
    """LAB-3."""
    async with open_studio() as studio:
        await projects.create(studio, "demo", name=None, root=root, default_root=False)
        given = tmp_path / "elsewhere"
        assert await projects.root_of(studio, "demo", given) == given


async def test_project_root_serves_a_project_nobody_knows(open_studio: Opener, root: Path) -> None:
    """LAB-3: the first run with `--project-root` makes the project."""
    async with open_studio() as studio:
        assert await projects.root_of(studio, "new", root) == root
        await projects.find_or_make(studio, "new")
        assert (await projects.show(studio, "new")).root is None


async def test_an_unknown_project_suggests_a_near_one(open_studio: Opener) -> None:
    async with open_studio() as studio:
        await projects.create(studio, "summer", name=None, root=None, default_root=False)
        with pytest.raises(ProjectNotFound, match="Did you mean 'summer'"):
            await projects.root_of(studio, "sumer", None)


async def test_a_required_setting_is_demanded_even_beside_project_root(
    open_studio: Opener, root: Path
) -> None:
    """LAB-13: --backend-storage-required."""
    async with open_studio() as studio:
        await projects.create(studio, "demo", name=None, root=None, default_root=False)
        with pytest.raises(BadParameter, match="--backend-storage-required"):
            await projects.root_of(studio, "demo", root, required=True)
        with pytest.raises(ProjectNotFound):
            await projects.root_of(studio, "new", root, required=True)


async def test_the_database_can_be_left_unasked(open_studio: Opener, root: Path) -> None:
    """LAB-13: --no-backend-storage-resolve."""
    async with open_studio() as studio:
        await projects.create(studio, "demo", name=None, root=root, default_root=False)
        with pytest.raises(BadParameter, match="--project-root"):
            await projects.root_of(studio, "demo", None, resolve=False)


async def test_the_root_gets_the_folders_of_a_project(open_studio: Opener, root: Path) -> None:
    """LAB-4."""
    async with open_studio() as studio:
        await projects.create(studio, "demo", name=None, root=root, default_root=False)
    assert all((root / name).is_dir() for name in SHOWN)


async def test_the_default_root_is_in_the_home(open_studio: Opener, tmp_path: Path) -> None:
    async with open_studio() as studio:
        made = await projects.create(studio, "demo", name=None, root=None, default_root=True)
    assert made.root == str(tmp_path / "home" / "projects" / "demo")


async def test_one_kind_of_root_at_a_time(open_studio: Opener, root: Path) -> None:
    async with open_studio() as studio:
        with pytest.raises(BadParameter, match="not both"):
            await projects.create(studio, "demo", name=None, root=root, default_root=True)


async def test_a_name_is_given_once(open_studio: Opener) -> None:
    async with open_studio() as studio:
        await projects.create(studio, "demo", name="One", root=None, default_root=False)
        with pytest.raises(AlreadyExists, match="demo"):
            await projects.create(studio, "demo", name="Two", root=None, default_root=False)


async def test_moving_the_root_is_written(open_studio: Opener, root: Path) -> None:
    async with open_studio() as studio:
        await projects.create(studio, "demo", name=None, root=None, default_root=False)
        await projects.set_local_root(studio, "demo", root)
        assert await projects.root_of(studio, "demo", None) == root


@pytest.mark.parametrize("slug", ["", "Demo", "../x", "a b", "-x", "a" * 65, "ä"])
def test_a_slug_that_is_no_name_is_refused(slug: str) -> None:
    with pytest.raises(BadParameter, match="lower-case"):
        projects.check_slug(slug)


@pytest.mark.parametrize("slug", ["a", "demo", "2026_spring-a", "a" * 64])
def test_a_plain_slug_passes(slug: str) -> None:
    projects.check_slug(slug)


async def test_the_list_counts_runs_and_assets(open_studio: Opener) -> None:
    async with open_studio() as studio:
        for slug in ("b", "a"):
            await projects.create(studio, slug, name=None, root=None, default_root=False)
        found = await projects.listing(studio)
    assert [(one.slug, one.runs, one.assets) for one in found] == [("a", 0, 0), ("b", 0, 0)]
