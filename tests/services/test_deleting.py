"""A deleted project leaves no row, and leaves the books right."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import func, select

from maquette.core import money
from maquette.core.errors import ProjectBusy, ProjectNotFound, WrongState
from maquette.core.people import ProjectRole
from maquette.core.pipeline import PostChain, UpscaleStep
from maquette.db import ledger, people, secrets
from maquette.db import tables as t
from maquette.db.base import Base
from maquette.services import (
    deleting,
    exporting,
    importing,
    projects,
    snapshots,
    spending,
)
from maquette.services.people import local
from maquette.services.studio import Studio
from maquette.testing.scripted import Act
from tests.conftest import Opener
from tests.services.conftest import Begin, see

KEPT = {"budgets", "events", "past_spending", "users", "installation", "workers"}


async def left(studio: Studio) -> set[str]:
    """Name the tables that have rows."""
    async with studio.shop.db.read() as session:
        return {
            table.name
            for table in Base.metadata.sorted_tables
            if (await session.execute(select(func.count()).select_from(table))).scalar_one()
        }


async def furnish(studio: Studio, root: Path) -> None:
    """Give the project one of everything that is not made by a run."""
    project, me = await projects.find(studio, "demo"), await local(studio)
    now = studio.shop.clock.now()
    await snapshots.create(studio, "demo", "first", root=root, by=me.user_id)
    await spending.set_cap(studio, "project:demo", money.parse_usd("5"))
    async with studio.shop.db.write() as session:
        await people.join(session, project.id, me.user_id, ProjectRole.OWNER, now)
        await secrets.put(session, (project.id, "x", "key"), b"sealed", "k", now)
        asset = (await session.execute(select(t.Asset).limit(1))).scalar_one()
        shared = {"project_id": project.id, "asset_id": asset.id}
        session.add(t.AssetTag(**shared, tag="x", asset_at=asset.created_at))
        session.add(
            t.Favourite(**shared, user_id=me.user_id, created_at=now, asset_at=asset.created_at)
        )
        session.add(t.Consent(id="c", **shared, user_id=me.user_id, words="yes", at=now))
        session.add(t.ChatSession(id="s", project_id=project.id, title="t", created_at=now))
        await session.flush()
        session.add(
            t.ChatMessage(session_id="s", role="user", content="x", data={}, created_at=now)
        )
        session.add(
            t.Instruction(
                id="i",
                project_id=project.id,
                session_id="s",
                kind="export",
                state="draft",
                payload={},
                dispatch=False,
                created_at=now,
            )
        )
        await session.flush()
        session.add(
            t.InstructionEvent(instruction_id="i", kind="x", state="draft", data={}, at=now)
        )
        session.add(
            t.VoiceRequest(
                id="v", project_id=project.id, kind="stt", state="failed", data={}, created_at=now
            )
        )
        session.add(
            t.Upload(
                id="u",
                user_id=me.user_id,
                project_id=project.id,
                size_bytes=1,
                offset_bytes=0,
                told={},
                created_at=now,
                expires_at=now,
            )
        )


@pytest.mark.parametrize("database", ["sqlite", "postgres"])
async def test_no_row_of_a_deleted_project_is_left(
    open_studio: Opener, begin: Begin, root: Path, database: str, request: pytest.FixtureRequest
) -> None:
    url = request.getfixturevalue("fresh_postgres") if database == "postgres" else None
    async with open_studio(url=url) as studio:
        await see(studio, await begin(studio, candidates=2, post=PostChain(upscale=UpscaleStep())))
        await furnish(studio, root)
        await exporting.export(studio, "demo", root=root)
        told = await deleting.delete(studio, "demo")
        assert told == deleting.Deleted("demo", None)
        assert await left(studio) <= KEPT
        with pytest.raises(ProjectNotFound):
            await projects.find(studio, "demo")
    assert (root / "outputs/coast.png").is_file(), "the files are a person's"


async def test_the_report_and_the_caps_know_what_was_spent(
    open_studio: Opener, begin: Begin, root: Path, tmp_path: Path
) -> None:
    async with open_studio() as studio:
        await see(studio, await begin(studio))
        before = await spending.report(studio)
        assert [(one.calls, str(one.actual)) for one in before] == [(2, "0.08")]
        path = tmp_path / "demo.tar.gz"
        await exporting.export(studio, "demo", root=root, output=path)
        await deleting.delete(studio, "demo")
        assert await spending.report(studio) == before
        assert await spending.report(studio, "demo") == before
        async with studio.shop.db.read() as session:
            assert await ledger.budget(session, "installation") == (0, 80_000_000)
        await importing.import_archive(studio, path, root=root)
        assert await spending.report(studio) == before, "not counted twice"
        await deleting.delete(studio, "demo")
        assert await spending.report(studio) == before


async def test_a_project_that_is_worked_or_owes_is_not_deleted(
    open_studio: Opener, begin: Begin
) -> None:
    async with open_studio(Act("lose"), Act("lose")) as studio:
        run = await begin(studio)
        with pytest.raises(ProjectBusy, match=run):
            await deleting.delete(studio, "demo")
        await see(studio, run)
        with pytest.raises(WrongState, match="spend unknown"):
            await deleting.delete(studio, "demo")
        for one in await spending.undecided(studio):
            await spending.decide(studio, one.attempt, charged=True, amount=None)
        await deleting.delete(studio, "demo")


async def test_the_files_go_aside_only_when_asked_for(open_studio: Opener, root: Path) -> None:
    async with open_studio() as studio:
        await projects.create(studio, "demo", name=None, root=root, default_root=False)
        (root / "mine.txt").write_text("mine")
        told = await deleting.delete(studio, "demo", files=True)
    assert told.moved_to is not None
    assert not root.exists()
    assert (Path(told.moved_to) / "mine.txt").read_text() == "mine"
    assert Path(told.moved_to).parent == root.parent
    assert Path(told.moved_to).name.startswith("root.deleted-")


async def test_a_root_that_two_projects_share_is_not_moved(
    open_studio: Opener, root: Path, tmp_path: Path
) -> None:
    async with open_studio() as studio:
        await projects.create(studio, "demo", name=None, root=root, default_root=False)
        await projects.create(studio, "two", name=None, root=tmp_path / "two", default_root=False)
        async with studio.shop.db.write() as session:
            other = (
                await session.execute(select(t.Project).where(t.Project.slug == "two"))
            ).scalar_one()
            other.root = str(root)
        with pytest.raises(WrongState, match="leave the files"):
            await deleting.delete(studio, "demo", files=True)
        assert await projects.find(studio, "demo")
