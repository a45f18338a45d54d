"""The worker: one at the desk, others standing by; what it survives; what it does besides."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from maquette.core.errors import StorageFull, StorageUnavailable
from maquette.core.states import JobState
from maquette.db import notices, runs
from maquette.db.engine import Database
from maquette.db.tables import IdempotencyKey, Worker
from maquette.jobs.desk import Desk
from maquette.services import housekeeping, projects, running, working
from maquette.services.housekeeping import Chore
from maquette.services.studio import Studio
from maquette.testing.http_server import Exchange, LoopbackServer
from maquette.testing.scripted import Act, Books
from tests.conftest import Opener
from tests.jobs.conftest import Begin, look

Look = Callable[[], Any]


async def _until(look: Look) -> None:
    """Wait until an asynchronous question is answered with something true."""
    async with asyncio.timeout(60):
        while not await look():  # noqa: ASYNC110 - rows of another process ring no bell
            await asyncio.sleep(0.02)


async def _workers(studio: Studio) -> list[str]:
    async with studio.shop.db.read() as session:
        rows = await session.execute(select(Worker.state).order_by(Worker.state))
        return list(rows.scalars())


async def _once(studio: Studio) -> None:
    async with asyncio.timeout(60):
        await working.work(studio, asyncio.Event(), once=True)


async def test_once_ends_when_nothing_is_left_and_leaves_no_row(
    open_studio: Opener, begin: Begin, books: Books
) -> None:
    """LAB-29."""
    async with open_studio() as studio:
        run = await begin(studio)
        await _once(studio)
        seen = await look(studio, run)
        assert (seen.state, books.paid_calls) == (JobState.SUCCEEDED, 2)
        assert await _workers(studio) == []
        await _once(studio)


async def test_one_works_and_the_other_stands_by_until_it_may_take_over(
    open_studio: Opener, begin: Begin
) -> None:
    async with open_studio() as one, open_studio() as two:
        stops = [asyncio.Event(), asyncio.Event()]
        first = asyncio.create_task(working.work(one, stops[0]))

        async def working_alone() -> bool:
            return await _workers(one) == ["working"]

        await _until(working_alone)
        second = asyncio.create_task(working.work(two, stops[1]))

        async def both() -> bool:
            return await _workers(one) == ["standing_by", "working"]

        await _until(both)
        stops[0].set()
        await first
        await _until(working_alone)
        run = await begin(one)

        async def ended() -> bool:
            return (await look(one, run)).state.final

        await _until(ended)
        stops[1].set()
        await second
        assert await _workers(one) == []


async def test_stopping_waits_for_the_paid_call_and_hands_the_rest_back(
    open_studio: Opener, begin: Begin, books: Books
) -> None:
    """ORC-8."""
    async with open_studio(Act(delay_s=0.5), Act(delay_s=0.5)) as studio:
        run = await begin(studio, candidates=4)
        stop = asyncio.Event()
        worker = asyncio.create_task(working.work(studio, stop))

        async def sent() -> bool:
            return books.paid_calls > 0

        await _until(sent)
        stop.set()
        await worker
        left = await look(studio, run)
        assert left.state is JobState.RUNNING
        assert {one.state for one in left.attempts} == {"settled"}
        paid = books.paid_calls
        await _once(studio)
        assert (await look(studio, run)).state is JobState.SUCCEEDED
        assert paid < books.paid_calls == 4


async def test_a_run_whose_log_could_not_be_written_is_closed_later_by_the_same_desk(
    open_studio: Opener, begin: Begin
) -> None:
    async with open_studio() as studio:
        run = await begin(studio)
        tries: list[str] = []

        async def finish(ended: str) -> None:
            tries.append(ended)
            if len(tries) < 3:
                raise StorageFull("The script says: the disk is full.")

        desk = Desk(studio.shop, studio.new_engine(), finish, patience_s=0.1)

        async def done() -> bool:
            return (await look(studio, run)).state.final

        await desk.work_until(done, asyncio.Event())
        assert tries == [run] * 3
        assert not desk.problems


async def test_once_does_not_wait_for_what_cannot_be_done_now(
    open_studio: Opener, begin: Begin, root: Path
) -> None:
    async with open_studio() as studio:
        run = await begin(studio)
        (root / "runs").rmdir()
        (root / "runs").write_text("in the way")  # where the run's log would be written
        await _once(studio)
        left = await look(studio, run)
        assert not left.state.final
        assert {job.state for job in left.jobs} == {"succeeded"}
        (root / "runs").unlink()
        (root / "runs").mkdir()
        await _once(studio)
        assert (await look(studio, run)).state is JobState.SUCCEEDED


class _Flaky(Database):
    """Does not answer while it is `down`."""

    down = False

    @asynccontextmanager
    async def read(self) -> AsyncGenerator[AsyncSession]:
        if self.down:
            raise StorageUnavailable("The script says: the database does not answer.")
        async with super().read() as session:
            yield session


async def test_a_worker_that_cannot_reach_the_database_comes_back(
    open_studio: Opener, begin: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(working, "_AGAIN_S", 0.05)
    async with open_studio() as studio:
        flaky = _Flaky(studio.shop.db.url)
        ailing = replace(studio, shop=replace(studio.shop, db=flaky))
        stop = asyncio.Event()
        worker = asyncio.create_task(working.work(ailing, stop))

        async def at_work() -> bool:
            return await _workers(studio) == ["working"]

        await _until(at_work)
        flaky.down = True

        async def away() -> bool:
            return await _workers(studio) == ["standing_by"]

        await _until(away)
        run = await begin(studio)
        flaky.down = False

        async def ended() -> bool:
            return (await look(studio, run)).state.final

        await _until(ended)
        stop.set()
        await worker
        await flaky.close()


async def test_a_chore_that_fails_stops_nothing(open_studio: Opener) -> None:
    leaving = asyncio.Event()
    done: list[str] = []

    async def fails(_studio: Studio) -> None:
        done.append("fails")
        raise ValueError("a bug")

    async def works(_studio: Studio) -> None:
        done.append("works")
        leaving.set()

    chores = (Chore("a", 60, fails), Chore("b", 60, works))
    async with open_studio() as studio:
        await housekeeping.keep(studio, leaving, chores)
    assert done == ["fails", "works"]


async def test_the_worker_forgets_idempotency_keys_whose_time_is_over(open_studio: Opener) -> None:
    async with open_studio() as studio:
        old = studio.shop.clock.now().replace(year=2020)
        async with studio.shop.db.write() as session:
            session.add(
                IdempotencyKey(
                    caller="c",
                    key="k",
                    route="POST /",
                    body_hash="0",
                    state="done",
                    created_at=old,
                    expires_at=old,
                )
            )
        stop = asyncio.Event()
        worker = asyncio.create_task(working.work(studio, stop))

        async def gone() -> bool:
            async with studio.shop.db.read() as session:
                return (await session.execute(select(IdempotencyKey))).first() is None

        await _until(gone)
        stop.set()
        await worker


# --- a notice when a run ends


class Hook:
    """Takes notices; the statuses are used up one a call, then it is content."""

    def __init__(self, *statuses: int) -> None:
        self._statuses = list(statuses)
        self._lock = threading.Lock()
        self.told: list[dict[str, Any]] = []
        self._server = LoopbackServer(self._handle)

    def __enter__(self) -> Self:
        self._server.__enter__()
        return self

    def __exit__(self, *exc: object) -> None:
        self._server.__exit__(*exc)

    @property
    def url(self) -> str:
        return f"{self._server.url}/secret-path"

    def _handle(self, exchange: Exchange) -> None:
        with self._lock:
            self.told.append(json.loads(exchange.body()))
            status = self._statuses.pop(0) if self._statuses else 204
        exchange.answer(status, b"")


async def _tell(studio: Studio, url: str | None) -> None:
    await projects.change(studio, "demo", projects.Changes(notify_url=url))


async def _begun(studio: Studio, begin: Begin, url: str) -> str:
    run = await begin(studio)
    await _tell(studio, url)
    return run


@pytest.mark.parametrize("statuses", [(), (500,), (500, 404)])
async def test_who_wants_to_know_is_told_when_a_run_ends(
    open_studio: Opener, begin: Begin, statuses: tuple[int, ...]
) -> None:
    with Hook(*statuses) as hook:
        async with open_studio() as studio:
            run = await _begun(studio, begin, hook.url)
            await _once(studio)
            await _once(studio)
    said = {
        "project": "demo",
        "run": run,
        "state": "succeeded",
        "spent_usd": "0.08",
        "url": f"/api/projects/demo/runs/{run}",
    }
    assert hook.told == [said] * (len(statuses) + 1)


async def test_a_notice_that_fails_three_times_is_logged_without_its_path_and_let_go(
    open_studio: Opener, begin: Begin, caplog: pytest.LogCaptureFixture
) -> None:
    with Hook(*[500] * 9) as hook:
        async with open_studio() as studio:
            run = await _begun(studio, begin, hook.url)
            await _once(studio)
            await _once(studio)
            assert (await look(studio, run)).state is JobState.SUCCEEDED
        assert len(hook.told) == 3
    assert "was not told" in caplog.text
    assert "secret-path" not in caplog.text


async def test_a_notice_that_a_crash_left_over_is_sent_by_the_next_worker(
    open_studio: Opener, begin: Begin
) -> None:
    with Hook() as hook:
        async with open_studio() as studio:
            run = await _begun(studio, begin, hook.url)
            await _once(studio)
            async with studio.shop.db.write() as session:  # as if it had died before it noted it
                await notices.add(session, await runs.by_id(session, run), studio.shop.clock.now())
            await _once(studio)
    assert [one["run"] for one in hook.told] == [run, run]


async def test_a_run_of_the_command_line_tells_too_and_nobody_is_told_any_more_when_off(
    open_studio: Opener, begin: Begin
) -> None:
    async def ignore(_event: object) -> None:
        return None

    with Hook() as hook:
        async with open_studio() as studio:
            run = await _begun(studio, begin, hook.url)
            await running.see_through(studio, run, ignore)
            assert len(hook.told) == 1
            await _tell(studio, None)
            await running.see_through(studio, await begin(studio), ignore)
    assert len(hook.told) == 1


# --- kill -9

PARTS = 4
SCRIPT = "tests.jobs.killing_instructions"


@pytest.mark.timeout(900)
@pytest.mark.parametrize("part", range(PARTS))
def test_an_instruction_killed_anywhere_is_done_by_the_next_worker_and_pays_once(
    tmp_path: Path, part: int
) -> None:
    """LAB-26: at every commit, call, put and placing, from queued to succeeded."""
    done = subprocess.run(
        [sys.executable, "-m", SCRIPT, str(tmp_path / "k"), str(part), str(PARTS)],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    first, *crashes = [json.loads(line) for line in done.stdout.splitlines()]
    assert _is_right(first["plain"])
    assert len(crashes) >= first["plain"]["boundaries"] // PARTS > 8
    wrong = [one for one in crashes if not _is_right(one["second"])]
    assert not wrong, json.dumps(wrong, indent=1)


def _is_right(end: dict[str, Any] | None) -> bool:
    """Succeeded and paid once; or the answer was lost, and a person decides."""
    if end is None or end["runs"] != 1 or end["begun"] != 1 or end["paid_calls"] > 1:
        return False
    if end["state"] == "failed":
        return end["error"] == "outcome-unknown" and end["held"] == 40_000_000
    return (end["state"], end["settled"], end["held"]) == ("succeeded", end["charged"], 0)
