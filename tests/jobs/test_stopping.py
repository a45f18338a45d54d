"""Cancelling, resuming, replaying, and two processes on one home."""

from __future__ import annotations

import asyncio

import pytest

from maquette.core.errors import NotResumable
from maquette.core.pipeline import PostChain, UpscaleStep
from maquette.core.states import AttemptState, JobState
from maquette.services import replaying, running, starting
from maquette.services.studio import Studio
from maquette.testing.scripted import Act, Books
from tests.conftest import Opener
from tests.jobs.conftest import Begin, Seen, look, see


async def _cancel_when_sent(studio: Studio, run: str, kind: str = "sent") -> Seen:
    """Work a run, and cancel it as soon as an event of that kind came."""
    seen = asyncio.Event()

    async def tell(event: object) -> None:
        if getattr(event, "kind", "") == kind:
            seen.set()

    async def cancel() -> None:
        await seen.wait()
        await running.cancel(studio, run)

    cancelling = asyncio.create_task(cancel())
    await running.see_through(studio, run, tell)
    await cancelling
    return await look(studio, run)


async def test_cancelling_waits_for_the_paid_call(
    open_studio: Opener, begin: Begin, books: Books
) -> None:
    """D2: the answer is stored and settled, then the job is cancelled; resuming pays no more."""
    async with open_studio(Act(delay_s=1.0), Act(delay_s=1.0)) as studio:
        seen = await _cancel_when_sent(studio, await begin(studio))
        assert seen.state is JobState.CANCELLED
        assert {one.state for one in seen.attempts} <= {AttemptState.SETTLED}
        assert seen.held == 0
        assert seen.settled == int(books.charged * 10**9)
        again = await see(studio, await running.resume(studio, seen.run, starting.Spending()))
    assert again.state is JobState.SUCCEEDED
    assert books.paid_calls == 2


async def test_cancelling_stops_free_work_at_once(
    open_studio: Opener, begin: Begin, books: Books
) -> None:
    async with open_studio(Act(delay_s=60), Act(delay_s=60)) as studio:
        seen = await _cancel_when_sent(studio, await begin(studio, model="free"))
        assert seen.state is JobState.CANCELLED
        assert {one.state for one in seen.attempts} == {AttemptState.LOST}
        again = await see(studio, await running.resume(studio, seen.run, starting.Spending()))
    assert again.state is JobState.SUCCEEDED
    assert len(books.entries()) == 4


async def test_cancelling_ends_the_patience(
    open_studio: Opener, begin: Begin, books: Books
) -> None:
    """A job that waits to try again does not wait on."""
    script = [Act("busy", retry_after_s=60)] * 2
    async with open_studio(*script) as studio:
        seen = await _cancel_when_sent(studio, await begin(studio), kind="waiting")
    assert seen.state is JobState.CANCELLED
    assert (seen.held, books.paid_calls) == (0, 0)


async def test_a_finished_run_has_nothing_to_resume(open_studio: Opener, begin: Begin) -> None:
    async with open_studio() as studio:
        seen = await see(studio, await begin(studio))
        with pytest.raises(NotResumable, match="maquette replay"):
            await running.resume(studio, seen.run, starting.Spending())


async def test_a_replay_gives_the_same_bytes(
    open_studio: Opener, begin: Begin, books: Books
) -> None:
    """LAB-12: from the log's frozen jobs, with the inputs of then."""
    post = PostChain(upscale=UpscaleStep())
    async with open_studio() as studio:
        first = await see(studio, await begin(studio, candidates=2, post=post))
        allowed = starting.Spending(confirmed=True)
        second = await see(studio, await replaying.replay(studio, first.run, allowed))
        assert second.state is JobState.SUCCEEDED
        assert await replaying.differences(studio, second.run) == []
    assert books.paid_calls == 4


async def test_two_runs_on_one_home_both_finish(
    open_studio: Opener, begin: Begin, books: Books
) -> None:
    """Whoever holds the lock works all queued runs; a waiting one takes over."""
    slow = [Act(delay_s=0.3)] * 4
    async with open_studio(*slow) as one, open_studio(*slow) as two:
        runs = [await begin(one), await begin(two)]
        ended = await asyncio.gather(see(one, runs[0]), _follow(two, runs[1]))
    assert [seen.state for seen in ended] == [JobState.SUCCEEDED, JobState.SUCCEEDED]
    assert books.paid_calls == 4


async def _follow(studio: Studio, run: str) -> Seen:
    await asyncio.sleep(0.2)
    return await see(studio, run)
