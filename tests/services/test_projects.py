"""Where a project's files are: said each time, or written once, never guessed."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from maquette.core.errors import AlreadyExists, BadParameter, Conflict, ProjectNotFound
from maquette.db import migrate
from maquette.db.engine import sqlite_url
from maquette.folders import OWNER, SHOWN
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


async def test_two_first_runs_at_once_make_one_project(open_studio: Opener) -> None:
    """LAB-3: both found none; the slower one takes the quicker one's."""
    async with open_studio() as studio:
        found = await asyncio.gather(*(projects.find_or_make(studio, "demo") for _ in range(8)))
        assert [one.slug for one in await projects.listing(studio)] == ["demo"]
    assert len({one.id for one in found}) == 1


async def test_two_first_runs_at_once_make_one_project_on_a_server(
    open_studio: Opener, postgres_url: str
) -> None:
    """LAB-3: there, both may look before either has committed."""
    async with open_studio(url=postgres_url) as studio:
        found = await asyncio.gather(*(projects.find_or_make(studio, "twins") for _ in range(8)))
    assert len({one.id for one in found}) == 1


async def test_two_projects_do_not_share_a_root(open_studio: Opener, root: Path) -> None:
    async with open_studio() as studio:
        await projects.create(studio, "one", name=None, root=root, default_root=False)
        with pytest.raises(Conflict, match="belongs to the project 'one'"):
            await projects.create(studio, "two", name=None, root=root, default_root=False)
        assert [one.slug for one in await projects.listing(studio)] == ["one"]


async def test_a_root_is_not_moved_onto_anothers(
    open_studio: Opener, root: Path, tmp_path: Path
) -> None:
    mine = tmp_path / "mine"
    async with open_studio() as studio:
        await projects.create(studio, "one", name=None, root=root, default_root=False)
        await projects.create(studio, "two", name=None, root=mine, default_root=False)
        with pytest.raises(Conflict, match="belongs to the project 'one'"):
            await projects.set_local_root(studio, "two", root)
        assert (await projects.show(studio, "two")).root == str(mine)


async def test_a_root_that_was_moved_is_still_its_projects(
    open_studio: Opener, root: Path, tmp_path: Path
) -> None:
    async with open_studio() as studio:
        await projects.create(studio, "demo", name=None, root=root, default_root=False)
        root.rename(tmp_path / "moved")
        await projects.set_local_root(studio, "demo", tmp_path / "moved")
        assert await projects.root_of(studio, "demo", None) == tmp_path / "moved"


async def test_an_owner_that_is_gone_for_good_can_be_forgotten(
    open_studio: Opener, root: Path
) -> None:
    """The way out that the message names."""
    async with open_studio() as studio:
        place = studio.shop.place(root)
        await projects.at_root(studio, "one", place)
        with pytest.raises(Conflict, match=r"owner\.json"):
            await projects.at_root(studio, "two", place)
        (root / OWNER).unlink()
        assert (await projects.at_root(studio, "two", place)).slug == "two"


async def test_the_root_of_an_older_run_may_be_anothers_now(
    open_studio: Opener, root: Path
) -> None:
    async with open_studio() as studio:
        one = await projects.at_root(studio, "one", studio.shop.place(root))
        await projects.ready_root(studio, one.id, str(root))
        await projects.create(studio, "two", name=None, root=None, default_root=False)
        two = await projects.find(studio, "two")
        with pytest.raises(Conflict, match="belongs to the project 'one'"):
            await projects.ready_root(studio, two.id, str(root))


def older_database(path: Path) -> str:
    """Make a database that says it is of an older version."""
    url = sqlite_url(path)
    migrate.ensure(url)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '0000'")
    return url


def test_another_database_is_made_where_there_is_none(tmp_path: Path) -> None:
    url = sqlite_url(tmp_path / "new.db")
    migrate.ensure(url)
    migrate.ensure(url)
    assert migrate.status(url) == "current"


def test_another_database_of_an_older_version_is_left_as_it_is(tmp_path: Path) -> None:
    url = older_database(tmp_path / "old.db")
    before = (tmp_path / "old.db").read_bytes()
    with pytest.raises(Conflict, match=r"old\.db.*maquette db migrate"):
        migrate.ensure(url)
    assert (tmp_path / "old.db").read_bytes() == before
    assert migrate.revision(url) == "0000"


def test_an_earlier_backup_is_never_written_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from alembic import command  # noqa: PLC0415 - a quarter of a second, for this test alone

    def stay(*_args: object) -> None:
        """Leave the database as old as it is: each upgrade backs up again."""

    url = older_database(tmp_path / "old.db")
    monkeypatch.setattr(command, "upgrade", stay)
    made = [migrate.migrate(url) for _ in range(3)]
    names = [f"old.before-{migrate.HEAD}{number}.db" for number in ("", "-2", "-3")]
    assert [path.name for path in made if path is not None] == names
    assert all(migrate.revision(sqlite_url(tmp_path / name)) == "0000" for name in names)
