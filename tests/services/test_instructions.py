"""What an instruction does below HTTP: prices that change, crashes, the worker, the notices."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from maquette.core.errors import StorageUnavailable
from maquette.core.instructions import InstructionKind
from maquette.core.people import Caller
from maquette.core.states import InstructionState as State
from maquette.db import instructions, runs
from maquette.db.engine import Database
from maquette.db.tables import Instruction, Project, User
from maquette.services import hands, instructing, people, projects, working
from maquette.services.hands import Hands
from maquette.services.instructing import Wanted
from maquette.services.studio import Studio
from maquette.testing.scripted import Books
from tests.conftest import Opener
from tests.services.conftest import noise

PAID = {"model": "scripted:paid", "prompt": "dusk"}


async def _ready(studio: Studio, *scenes: str) -> tuple[Project, Caller]:
    made = await projects.create(studio, "p", name="P", root=None, default_root=True)
    for seed, name in enumerate(scenes):
        _scene(made.root, name, seed)
    return await projects.find(studio, "p"), await people.local(studio)


def _scene(root: str | None, name: str, seed: int = 0) -> None:
    folder = Path(root or "") / "scenes"
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.png").write_bytes(noise(seed))


async def _given(
    studio: Studio,
    ready: tuple[Project, Caller],
    payload: dict[str, Any],
    kind: str = "pipeline_run",
) -> Instruction:
    return await instructing.create(studio, *ready, Wanted(InstructionKind(kind), payload))


async def _once(studio: Studio) -> None:
    await working.work(studio, asyncio.Event(), once=True)


async def _now(studio: Studio, row: Instruction) -> Instruction:
    async with studio.shop.db.read() as session:
        return await instructions.by_id(session, row.id)


async def test_a_confirmed_price_is_a_ceiling(open_studio: Opener, books: Books) -> None:
    """LAB-26: what costs more by then waits for a person's word anew."""
    async with open_studio() as studio:
        ready = await _ready(studio, "coast")
        row = await _given(studio, ready, PAID)
        await instructing.confirm(studio, *ready, row.id)
        _scene(ready[0].root, "dunes", 1)
        await _once(studio)
        waits = await _now(studio, row)
        assert (waits.state, waits.confirmed) == (State.AWAITING_CONFIRMATION.value, False)
        assert waits.worst_case_nano == 80_000_000
        assert books.paid_calls == 0
        await instructing.confirm(studio, *ready, row.id)
        await _once(studio)
        assert (await _now(studio, row)).state == State.SUCCEEDED.value
    assert books.paid_calls == 2


async def test_what_had_no_price_when_it_was_given_never_spends_unasked(
    open_studio: Opener, books: Books
) -> None:
    async with open_studio() as studio:
        ready = await _ready(studio)
        row = await _given(studio, ready, PAID)
        assert row.state == State.QUEUED.value
        _scene(ready[0].root, "coast")
        await _once(studio)
        assert (await _now(studio, row)).state == State.AWAITING_CONFIRMATION.value
    assert books.paid_calls == 0


async def test_a_run_counts_for_who_confirmed_it(open_studio: Opener) -> None:
    async with open_studio() as studio:
        ready = await _ready(studio, "coast")
        row = await _given(studio, ready, {**PAID, "priority": 7})
        async with studio.shop.db.write() as session:
            session.add(User(id="other", name="other", role="admin", created_at=row.created_at))
        other = Caller("other", "other", ready[1].role)
        await instructing.confirm(studio, ready[0], other, row.id)
        await _once(studio)
        done = await _now(studio, row)
        async with studio.shop.db.read() as session:
            run = await runs.by_id(session, done.run_id or "")
            [job] = await runs.jobs_of(session, run.id)
    assert (run.creator_id, run.max_spend_nano, job.priority) == ("other", 40_000_000, 7)


async def test_who_comes_after_a_crash_follows_the_run_that_was_begun(
    open_studio: Opener, books: Books
) -> None:
    """The run and its id in the instruction are one commit, so it is begun once."""
    async with open_studio() as studio:
        ready = await _ready(studio, "coast")
        row = await _given(studio, ready, PAID)
        await instructing.confirm(studio, *ready, row.id)
        # Hands without a desk: they begin the run, then they are gone, as after a kill.
        leaving = asyncio.Event()
        alone = asyncio.create_task(Hands(studio, leaving).work())
        while (await _now(studio, row)).run_id is None:
            await asyncio.wait([alone], timeout=0.05)
        leaving.set()
        await alone
        left = await _now(studio, row)
        assert left.state == State.RUNNING.value
    async with open_studio() as studio:
        await _once(studio)
        done = await _now(studio, row)
        async with studio.shop.db.read() as session:
            every = await runs.listing(session, project_id=None, limit=10, before=None)
    assert (done.state, done.run_id) == (State.SUCCEEDED.value, left.run_id)
    assert [one.id for one in every] == [left.run_id]
    assert books.paid_calls == 1


async def test_one_that_died_before_its_run_is_begun_again(
    open_studio: Opener, books: Books
) -> None:
    async with open_studio() as studio:
        ready = await _ready(studio, "coast")
        row = await _given(studio, ready, PAID)
        await instructing.confirm(studio, *ready, row.id)
        async with studio.shop.db.write() as session:
            at = studio.shop.clock.now()
            await instructions.change(
                session, row.id, "started", (State.QUEUED,), State.RUNNING, at
            )
        await _once(studio)
        assert (await _now(studio, row)).state == State.SUCCEEDED.value
    assert books.paid_calls == 1


async def test_nothing_is_begun_for_what_was_cancelled_just_before(
    open_studio: Opener, books: Books
) -> None:
    """The commit that makes the run looks again."""
    async with open_studio() as studio:
        ready = await _ready(studio, "coast")
        row = await _given(studio, ready, PAID)
        await instructing.confirm(studio, *ready, row.id)
        async with studio.shop.db.write() as session:
            at = studio.shop.clock.now()
            await instructions.change(
                session, row.id, "started", (State.QUEUED,), State.RUNNING, at
            )
        await instructing.cancel(studio, *ready, row.id)
        await _once(studio)
        ended = await _now(studio, row)
        async with studio.shop.db.read() as session:
            every = await runs.listing(session, project_id=None, limit=10, before=None)
    assert ended.state == State.CANCELLED.value
    assert not every
    assert books.paid_calls == 0


async def test_an_unreadable_picture_fails_the_instruction_and_the_others_are_made(
    open_studio: Opener,
) -> None:
    async with open_studio() as studio:
        ready = await _ready(studio)
        outputs = Path(ready[0].root or "") / "outputs"
        (outputs / "good.png").write_bytes(noise(1))
        (outputs / "bad.png").write_bytes(b"no picture")
        row = await _given(studio, ready, {"backend": "resample"}, "upscale")
        await _once(studio)
        done = await _now(studio, row)
        assert done.state == State.FAILED.value
        assert "bad.png" in (done.error_message or "")
        assert (outputs.parent / "upscaled" / "good.png").is_file()


async def test_what_our_own_rows_forbid_is_tried_again_and_is_no_failure(
    open_studio: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_studio() as studio:
        ready = await _ready(studio)
        (Path(ready[0].root or "") / "outputs" / "a.png").write_bytes(noise(1))
        row = await _given(studio, ready, {}, "qa")
        broken = _Broken(studio.shop.db.url)
        ailing = replace(studio, shop=replace(studio.shop, db=broken))
        monkeypatch.setattr(hands, "_PATIENCE_S", 0.0)
        leaving = asyncio.Event()
        working_hands = asyncio.create_task(Hands(ailing, leaving).work())
        while (await _now(studio, row)).state != State.SUCCEEDED.value:
            await asyncio.wait([working_hands], timeout=0.05)
        leaving.set()
        await working_hands
        await broken.close()
        assert broken.failed == 3


class _Broken(Database):
    """Answers no write at first."""

    failed = 0

    @asynccontextmanager
    async def write(self) -> AsyncGenerator[Any]:
        if self.failed < 3:
            self.failed += 1
            raise StorageUnavailable("The script says: the database does not answer.")
        async with super().write() as session:
            yield session
