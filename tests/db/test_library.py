"""Pages of assets on both databases: complete, in order, from their indexes, in few statements."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from json import dumps
from typing import Any

import pytest
from sqlalchemy import event, insert, select, text, update
from sqlalchemy.dialects import sqlite
from sqlalchemy.ext.asyncio import AsyncSession

from maquette.db import assets, library, lineage, marks, search, trash
from maquette.db.assets import NewAsset, NewBlob
from maquette.db.engine import Database
from maquette.db.library import Filters, Line, Place
from maquette.db.tables import Asset, AssetParent, Blob, User
from tests.db.rows import NOW, add_one_of_each, asset, project, run

ALL = Filters("p")
PERSON = "u"


async def fill(session: AsyncSession, count: int = 12) -> None:
    """Write assets `a00` … of two kinds, two a second, in the project `p`."""
    session.add_all(
        [project(), project("q"), User(id=PERSON, name="ann", role="creator", created_at=NOW)]
    )
    await session.flush()
    for number in range(count):
        digest = f"{number:064}"
        session.add(
            Blob(
                project_id="p",
                digest=digest,
                media_type="image/png",
                size_bytes=1,
                width_px=2,
                height_px=3,
                has_alpha=False,
                created_at=NOW,
            )
        )
        one = asset(
            f"a{number:02}",
            digest=digest,
            kind="source" if number % 3 == 0 else "upscale",
            prompt=f"a harbour number{number} well-lit" if number % 2 else "fog",
            provider="x" if number % 4 else "y",
            creator_id=PERSON if number < 5 else None,
            created_at=NOW + timedelta(seconds=number // 2),
        )
        session.add(one)
        await session.flush()
        if number % 5 == 0:
            await marks.set_tags(session, one, {"five", f"t{number}"})
        if number % 4 == 1:
            await marks.like(session, one, PERSON, NOW)


def names(*numbers: int) -> list[str]:
    return [f"a{number:02}" for number in numbers]


async def pages(db: Database, wanted: Filters, limit: int = 2) -> list[Line]:
    """Read all pages of a list."""
    found: list[Line] = []
    after: Place | None = None
    async with db.read() as session:
        while True:
            page = await library.page(session, wanted, PERSON, limit, after)
            found += page
            if len(page) < limit:
                return found
            last = page[-1]
            moment = last.trashed_at if wanted.trashed and last.trashed_at else last.created_at
            after = (last.words_id or 0) if wanted.words is not None else (moment, last.id)


@pytest.mark.parametrize(
    ("filters", "wanted"),
    [
        ({}, names(*range(11, -1, -1))),
        ({"kind": "source"}, names(9, 6, 3, 0)),
        ({"provider": "y"}, names(8, 4, 0)),
        ({"creator": PERSON, "kind": "upscale"}, names(4, 2, 1)),
        ({"tags": ("five",)}, names(10, 5, 0)),
        ({"tags": ("five", "t5")}, names(5)),
        ({"tags": ("five",), "kind": "source"}, names(0)),
        ({"liked_by": PERSON}, names(9, 5, 1)),
        ({"liked_by": PERSON, "tags": ("five",)}, names(5)),
        ({"liked_by": "nobody"}, []),
        ({"created_after": NOW + timedelta(seconds=5)}, names(11, 10)),
        ({"created_before": NOW + timedelta(seconds=1)}, names(1, 0)),
        ({"job": "none"}, []),
        ({"run": "none"}, []),
        ({"words": ("harbour",)}, names(11, 9, 7, 5, 3, 1)),
        ({"words": ("harb",), "kind": "source"}, names(9, 3)),
        ({"words": ("HARBOUR", "number1")}, names(11, 1)),
        ({"words": ("well-lit",), "tags": ("five",)}, names(5)),
        ({"words": ("number1", "harbour"), "liked_by": PERSON}, names(1)),
        ({"words": ("lit", "well")}, names(11, 9, 7, 5, 3, 1)),
        ({"words": ("boat",)}, []),
    ],
)
async def test_pages_hold_exactly_what_the_filters_let_through(
    db: Database, filters: dict[str, Any], wanted: list[str]
) -> None:
    async with db.write() as session:
        await fill(session)
    for limit in (1, 2, 5, 50):
        found = await pages(db, replace(ALL, **filters), limit)
        assert [one.id for one in found] == wanted


@pytest.mark.parametrize(
    "typed",
    [
        '"',
        '" OR "',
        "harbour OR fog",
        "harbour) OR (fog",
        "words : fog",
        "NEAR(harbour fog)",
        "harbour -number1",
        "harbour*",
        "^harbour",
        "' | 'fog",
        "harbour & !fog",
        "a\\",
        "a\\' | 'fog",
        "{scope words} : fog",
        ":*",
        "p00 | fog:*",
    ],
)
async def test_what_a_person_types_is_never_syntax(db: Database, typed: str) -> None:
    async with db.write() as session:
        await fill(session)
    plain = "".join(letter if letter.isalnum() else " " for letter in typed)
    found = [await matches(db, text) for text in (typed, plain)]
    assert found[0] == found[1]


async def matches(db: Database, typed: str) -> list[str]:
    words = search.words_of(typed)
    return [one.id for one in await pages(db, replace(ALL, words=words), 50)] if words else []


async def test_words_do_not_reach_into_another_project(db: Database) -> None:
    async with db.write() as session:
        await fill(session)
        session.add(asset("other", project_id="q", prompt="harbour p", digest="0" * 64))
    assert await pages(db, Filters("q", words=("harbour",))) == []  # it has no blob
    assert len(await pages(db, replace(ALL, words=("harbour",)))) == 6
    assert await pages(db, replace(ALL, words=("other",))) == []


async def test_far_matches_are_found_behind_many_recent_others(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "RECENT", 3)
    async with db.write() as session:
        await fill(session)
    found = await pages(db, replace(ALL, words=("harbour",)), 2)
    assert [one.id for one in found] == names(11, 9, 7, 5, 3, 1)


async def test_the_trash_is_a_list_of_its_own(db: Database) -> None:
    async with db.write() as session:
        await fill(session)
        for number, seconds in ((3, 9), (8, 7), (1, 8)):
            when = NOW + timedelta(seconds=seconds)
            one = update(Asset).where(Asset.id == f"a{number:02}").values(deleted_at=when)
            await session.execute(one)
    thrown = replace(ALL, trashed=True)
    assert [one.id for one in await pages(db, thrown)] == names(3, 1, 8)
    assert [one.id for one in await pages(db, replace(thrown, words=("harb",)))] == names(3, 1)
    assert len(await pages(db, ALL)) == 9


@asynccontextmanager
async def counted(db: Database) -> AsyncGenerator[list[str]]:
    """Note the statements that a database is asked."""
    asked: list[str] = []

    def note(_c: object, _k: object, statement: str, *_rest: object) -> None:
        asked.append(statement)

    engine = db._engine.sync_engine  # pyright: ignore[reportPrivateUsage] - no other way to listen
    event.listen(engine, "before_cursor_execute", note)
    try:
        yield asked
    finally:
        event.remove(engine, "before_cursor_execute", note)


@pytest.mark.parametrize(
    "filters", [{}, {"tags": ("five", "t5")}, {"words": ("harb",)}, {"liked_by": PERSON}]
)
async def test_a_page_is_at_most_three_statements(db: Database, filters: dict[str, Any]) -> None:
    async with db.write() as session:
        await fill(session)
    async with db.read() as session:
        await session.execute(text("SELECT 1"))
        async with counted(db) as asked:
            await library.page(session, replace(ALL, **filters), PERSON, 60, None)
    assert 1 <= len([one for one in asked if not one.startswith(("BEGIN", "ROLLBACK"))]) <= 3


@pytest.mark.parametrize(
    ("filters", "index"),
    [
        ({}, "ix_assets_shown"),
        ({"kind": "source"}, "ix_assets_kind"),
        ({"provider": "x"}, "ix_assets_provider"),
        ({"model": "x"}, "ix_assets_model"),
        ({"creator": "x"}, "ix_assets_creator_id"),
        ({"trashed": True}, "ix_assets_trashed"),
        ({"tags": ("five", "t5")}, "ix_asset_tags_page"),
        ({"liked_by": PERSON}, "ix_favourites_page"),
        ({"job": "j"}, "ix_assets_job_id"),
        ({"run": "r"}, "ix_assets_job_id"),
        ({"words": ("harb",)}, "VIRTUAL TABLE INDEX"),
    ],
)
@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
async def test_sqlite_reads_a_page_from_one_index(
    db: Database, filters: dict[str, Any], index: str
) -> None:
    place: Place = 7 if "words" in filters else (NOW, "a05")
    async with db.read() as session:
        for after in (None, place):
            query = library.page_query(session, replace(ALL, **filters), PERSON, 61, after)
            made = query.compile(dialect=sqlite.dialect(), compile_kwargs={"literal_binds": True})
            steps = [row[3] for row in await session.execute(text(f"EXPLAIN QUERY PLAN {made}"))]
            assert index in steps[0], steps
            assert not [step for step in steps if step.startswith("SCAN") and index not in step]
            sorts = [step for step in steps if "TEMP B-TREE" in step]
            assert bool(sorts) == (filters.keys() <= {"job", "run"} and bool(filters)), steps


async def test_a_family_is_walked_both_ways_and_bounded(db: Database) -> None:
    """A diamond: 0 → 1, 2 → 3 → 4; 9 stands alone."""
    async with db.write() as session:
        await fill(session)
        for child, parent in ((1, 0), (2, 0), (3, 1), (3, 2), (4, 3)):
            await assets.link(session, f"a{child:02}", f"a{parent:02}", "init")
    async with db.read() as session:
        whole = await lineage.family(session, "a03", "both", 50)
        assert {one.id for one in whole.nodes} == set(names(0, 1, 2, 3, 4))
        assert whole.nodes[0].id == "a03"
        assert (len(whole.edges), whole.whole) == (5, True)
        up = await lineage.family(session, "a03", "up", 50)
        assert {one.id for one in up.nodes} == set(names(0, 1, 2, 3))
        down = await lineage.family(session, "a03", "down", 50)
        assert [one.id for one in down.nodes] == names(3, 4)
        some = await lineage.family(session, "a03", "both", 3)
        assert ([one.id for one in some.nodes], some.whole) == (names(3, 1, 2), False)


async def test_a_long_line_is_one_statement_each_way(db: Database) -> None:
    async with db.write() as session:
        await fill(session, 2)
        same: dict[str, Any] = {"project_id": "p", "digest": "0" * 64, "kind": "k", "name": "n"}
        same |= {"made_by": {}, "created_at": NOW, "cost_nano": 0}
        rows = [{**same, "id": f"c{n:04}"} for n in range(300)]
        await session.execute(insert(Asset), rows)
        links = [
            {"asset_id": f"c{n:04}", "parent_id": f"c{n - 1:04}", "role": "init"}
            for n in range(1, 300)
        ]
        await session.execute(insert(AssetParent), links)
    async with db.read() as session:
        await session.execute(text("SELECT 1"))
        async with counted(db) as asked:
            found = await lineage.family(session, "c0000", "down", 1000)
    assert len(found.nodes) == 300
    assert len(asked) == 3


async def test_purging_keeps_bytes_that_another_asset_shows(db: Database) -> None:
    async with db.write() as session:
        await fill(session, 2)
        session.add(asset("twin", digest=f"{0:064}"))
    async with db.write() as session:
        await trash.purge(session, await trash.held(session, "p", "a00"))
    async with db.read() as session:
        assert len((await session.execute(select(Blob))).all()) == 2
    async with db.write() as session:
        await trash.purge(session, await trash.held(session, "p", "twin"))
    async with db.read() as session:
        left = (await session.execute(select(Blob.digest))).scalars().all()
        assert left == [f"{1:064}"]
        words = (await session.execute(text("SELECT count(*) FROM asset_words"))).scalar_one()
        assert words == 1


async def test_a_new_asset_knows_its_words_and_who_began_it(db: Database) -> None:
    blob = NewBlob("1" * 64, "image/png", 1, 2, 3, has_alpha=False)
    request = {"prompt": "of the call", "provider": "x", "model": "m"}
    spec = {"request": {"prompt": "of the job", "provider": "y", "model": "n"}}
    async with db.write() as session:
        await add_one_of_each(session)
        session.add(User(id=PERSON, name="ann", role="creator", created_at=NOW))
        await session.flush()
        await session.execute(update(type(run())).values(creator_id=PERSON))
        await session.execute(text("UPDATE run_jobs SET spec = :spec"), {"spec": dumps(spec)})
        for name, made_by in (("call", {"request": request}), ("chain", {"operation": "x"})):
            new = NewAsset(blob, "k", name, made_by, job_id="j", id=name)
            await assets.add(session, "p", new, NOW)
        await assets.add(session, "p", NewAsset(blob, "k", "alone", {}, id="alone"), NOW)
    found = {one.id: one for one in await pages(db, ALL)}
    told = {name: (one.prompt, one.provider, one.model) for name, one in found.items()}
    assert told["call"] == ("of the call", "x", "m")
    assert told["chain"] == ("of the job", "y", "n")
    assert told["alone"] == ("", "", "")
    assert (found["chain"].creator, found["chain"].run) == (PERSON, "r")
    assert found["alone"].creator is None


def test_a_tag_is_kept_in_lower_case() -> None:
    assert marks.tag_of("  Final   CUT ") == "final cut"
