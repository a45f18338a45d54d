"""The run log: complete, checked by a schema, and readable by any installation."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator, ValidationError
from sqlalchemy import func, select

from maquette.core.errors import BadParameter, Conflict, FileMissing
from maquette.core.pipeline import BackgroundStep, ColourStep, PostChain, UpscaleStep
from maquette.core.requests import digest_of
from maquette.core.runlog import RunLog
from maquette.db import ledger, runs
from maquette.db.tables import Base
from maquette.services import keeping, projects, runlog, viewing
from maquette.services.studio import Studio
from maquette.testing.scripted import Act, Books
from tests.conftest import Opener
from tests.services.conftest import Begin, see

SCHEMA = Path(__file__).parents[2] / "docs" / "schemas" / "run-log.schema.json"
CHAIN = PostChain(background=BackgroundStep(), upscale=UpscaleStep(), colour=ColourStep())
JUDGED = [Act(), Act("lose"), Act(blank=True)]


def errors_of(document: Any) -> list[ValidationError]:
    validator = Draft202012Validator(json.loads(SCHEMA.read_text(encoding="utf-8")))
    return list(validator.iter_errors(document))  # pyright: ignore[reportUnknownMemberType]


async def logged(studio: Studio, run_id: str) -> Path:
    async with studio.shop.db.read() as session:
        run = await runs.by_id(session, run_id)
    return Path(run.root) / runlog.log_path(run_id)


async def counts(studio: Studio) -> dict[str, int]:
    async with studio.shop.db.read() as session:
        return {
            table.name: (
                await session.execute(select(func.count()).select_from(table))
            ).scalar_one()
            for table in Base.metadata.sorted_tables
        }


async def taken_in(studio: Studio, path: Path) -> bool:
    project = await projects.find_or_make(studio, "demo")
    return await runlog.ingest_file(studio, project, path)


@pytest.fixture
def elsewhere(tmp_path: Path) -> str:
    """Another installation's database."""
    return f"sqlite:///{tmp_path / 'elsewhere.db'}"


def test_the_schema_file_is_up_to_date() -> None:
    """LAB-12: regenerate it with `maquette.services.runlog.schema()`."""
    assert SCHEMA.read_text(encoding="utf-8") == runlog.schema()


def test_the_schema_is_a_schema() -> None:
    Draft202012Validator.check_schema(json.loads(SCHEMA.read_text(encoding="utf-8")))


@pytest.mark.parametrize("script", [[], JUDGED, [Act("refuse"), Act("refuse")]])
async def test_every_log_fits_the_schema(
    open_studio: Opener, begin: Begin, script: list[Act]
) -> None:
    """LAB-12: of good runs and of failed ones."""
    async with open_studio(*script) as studio:
        seen = await see(studio, await begin(studio, candidates=2, post=CHAIN))
        document = json.loads((await logged(studio, seen.run)).read_bytes())
    assert [error.message for error in errors_of(document)] == []


def test_the_schema_refuses_what_is_no_log() -> None:
    assert errors_of({"run": "x"})


async def log_of(open_studio: Opener, begin: Begin, *script: Act, **order: Any) -> RunLog:
    async with open_studio(*script) as studio:
        seen = await see(studio, await begin(studio, **order))
        return runlog.read(await logged(studio, seen.run))


async def test_the_log_names_its_inputs_by_their_bytes(
    open_studio: Opener, begin: Begin, scenes: Path
) -> None:
    """LAB-12."""
    log = await log_of(open_studio, begin)
    given = {one.sha256 for one in log.pictures if one.kind == "source"}
    assert given == {digest_of(path.read_bytes()) for path in scenes.iterdir()}


async def test_the_log_holds_what_was_sent_and_what_it_cost(
    open_studio: Opener, begin: Begin, books: Books
) -> None:
    """LAB-12: provider, model, the request as really sent, money reserved and settled, times."""
    log = await log_of(open_studio, begin, candidates=3, seed=7)
    assert log.reserved_nano == log.settled_nano == int(books.charged * 10**9)
    for job in log.jobs:
        assert [one.call for one in job.attempts] == ["generate.0", "generate.1"]
        for attempt in job.attempts:
            assert (attempt.provider, attempt.model) == ("scripted", "paid")
            assert attempt.request["prompt"] == "a test"
            assert attempt.effective is not None and attempt.effective["seed"] is not None
            assert attempt.sent_at is not None and attempt.finished_at is not None
    assert "maquette" in log.versions


async def test_the_log_holds_every_candidate_and_the_choice(
    open_studio: Opener, begin: Begin, scenes: Path, root: Path
) -> None:
    """LAB-7, LAB-12: the refused ones too, with the guard's findings."""
    one = scenes / "coast.png"
    log = await log_of(open_studio, begin, Act(blank=True), candidates=3, input=one, post=CHAIN)
    job = log.jobs[0]
    assert job.selected_candidate == 2
    assert [candidate.state for candidate in job.candidates] == [
        "failed_output_guard",
        "failed_output_guard",
        "passed",
    ]
    verdict = job.candidates[0].verdict
    assert verdict is not None and verdict.findings[0].code == "blank"
    assert job.final_output == "color_corrected/coast.png"
    final = digest_of((root / job.final_output).read_bytes())
    assert final in {picture.sha256 for picture in log.pictures}


async def test_a_log_is_ingested_once(open_studio: Opener, begin: Begin, elsewhere: str) -> None:
    """LAB-12: twice without doubling."""
    async with open_studio(*JUDGED) as studio:
        seen = await see(studio, await begin(studio, candidates=2, post=CHAIN))
        path = await logged(studio, seen.run)
    async with open_studio(url=elsewhere) as other:
        assert await taken_in(other, path) is True
        once = await counts(other)
        assert await taken_in(other, path) is False
        assert await counts(other) == once
    assert once["runs"] == 1 and once["run_job_candidates"] > 0


async def test_ingesting_where_the_run_was_made_changes_nothing(
    open_studio: Opener, begin: Begin
) -> None:
    async with open_studio() as studio:
        seen = await see(studio, await begin(studio))
        before = await counts(studio)
        assert await taken_in(studio, await logged(studio, seen.run)) is False
        assert await counts(studio) == before


async def test_an_ingested_run_writes_the_same_log_again(
    open_studio: Opener, begin: Begin, elsewhere: str
) -> None:
    """LAB-12: nothing that the log says is lost on the way into a database."""
    async with open_studio(*JUDGED) as studio:
        seen = await see(studio, await begin(studio, candidates=2, post=CHAIN))
        path = await logged(studio, seen.run)
    async with open_studio(url=elsewhere) as other:
        await taken_in(other, path)
        async with other.shop.db.read() as session:
            again = await runlog.build(session, await runs.by_id(session, seen.run))
    assert again == runlog.read(path)


async def test_an_ingested_picture_knows_where_it_came_from(
    open_studio: Opener, begin: Begin, elsewhere: str
) -> None:
    """LAB-12: what `maquette show ASSET` tells, in a database that never saw the run."""
    async with open_studio() as studio:
        seen = await see(studio, await begin(studio, post=CHAIN))
        path = await logged(studio, seen.run)
    final = runlog.read(path).jobs[0].final_asset
    assert final is not None
    async with open_studio(url=elsewhere) as other:
        await taken_in(other, path)
        shown = await keeping.lineage(other, final)
    kinds = [shown.asset.kind]
    parents = shown.parents
    while parents:
        kinds.append(parents[0].asset.kind)
        parents = parents[0].further
    assert kinds == ["colour", "upscale", "background", "background", "edited", "source"]


async def test_an_ingested_run_lists_its_pictures(
    open_studio: Opener, begin: Begin, elsewhere: str
) -> None:
    """LAB-12: what `maquette show RUN` lists, the post chain's pictures included."""
    async with open_studio() as studio:
        seen = await see(studio, await begin(studio, post=CHAIN))
        here = await viewing.summary(studio, seen.run)
        path = await logged(studio, seen.run)
    async with open_studio(url=elsewhere) as other:
        await taken_in(other, path)
        there = await viewing.summary(other, seen.run)
    assert sorted((one.id, one.scene, one.kind) for one in there.assets) == sorted(
        (one.id, one.scene, one.kind) for one in here.assets
    )
    assert there.spent == here.spent


async def test_an_ingested_run_knows_its_files(
    open_studio: Opener, begin: Begin, elsewhere: str
) -> None:
    """LAB-12: `final_output` of the log is what `maquette show RUN` shows as final."""
    async with open_studio() as studio:
        seen = await see(studio, await begin(studio, post=CHAIN))
        path = await logged(studio, seen.run)
    async with open_studio(url=elsewhere) as other:
        await taken_in(other, path)
        there = await viewing.summary(other, seen.run)
    assert [job.final for job in there.jobs] == [job.final_output for job in runlog.read(path).jobs]


async def test_money_paid_elsewhere_fills_no_cap_here(
    open_studio: Opener, begin: Begin, elsewhere: str
) -> None:
    async with open_studio() as studio:
        seen = await see(studio, await begin(studio))
        path = await logged(studio, seen.run)
    async with open_studio(url=elsewhere) as other:
        await taken_in(other, path)
        async with other.shop.db.read() as session:
            assert await ledger.budget(session, "installation") == (0, 0)


async def test_a_log_of_another_project_is_refused(open_studio: Opener, begin: Begin) -> None:
    async with open_studio() as studio:
        seen = await see(studio, await begin(studio))
        path = await logged(studio, seen.run)
        other = await projects.find_or_make(studio, "other")
        with pytest.raises(Conflict, match="give --project demo"):
            await runlog.ingest_file(studio, other, path)


async def test_a_log_goes_into_a_database_that_has_a_project_of_that_name(
    open_studio: Opener, begin: Begin, elsewhere: str
) -> None:
    """LAB-12, `--backend-db`: the same slug under another id."""
    async with open_studio(url=elsewhere) as other:
        await projects.find_or_make(other, "demo")
    async with open_studio() as studio, open_studio(url=elsewhere) as other:
        seen = await see(studio, await begin(studio))
        path = await logged(studio, seen.run)
        project = await projects.find(studio, "demo")
        assert await runlog.ingest_file(studio, project, path, other.shop.db) is True
        assert (await projects.show(other, "demo")).runs == 1


async def test_a_run_can_be_copied_into_another_database(
    open_studio: Opener, begin: Begin, elsewhere: str
) -> None:
    """LAB-12, `--backend-db PATH`."""
    async with open_studio() as studio, open_studio(url=elsewhere) as other:
        await projects.find_or_make(other, "demo")
        seen = await see(studio, await begin(studio))
        assert await viewing.copy_run(studio, seen.run, other.shop.db) is True
        assert await viewing.copy_run(studio, seen.run, other.shop.db) is False
        assert (await projects.show(other, "demo")).runs == 1


@pytest.mark.parametrize("text", ["", "{", "[]", '{"run": 1}'])
def test_a_file_that_is_no_log_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "broken.json"
    path.write_text(text)
    with pytest.raises(BadParameter, match=r"broken\.json cannot be used"):
        runlog.read(path)


def test_a_log_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileMissing, match=r"gone\.json"):
        runlog.read(tmp_path / "gone.json")


async def test_writing_the_log_again_changes_nothing(open_studio: Opener, begin: Begin) -> None:
    async with open_studio() as studio:
        seen = await see(studio, await begin(studio))
        path = await logged(studio, seen.run)
        before = path.read_bytes()
        await runlog.write(studio, seen.run)
        assert path.read_bytes() == before
        async with studio.shop.db.read() as session:
            assert (await runs.by_id(session, seen.run)).log_digest == digest_of(before)
