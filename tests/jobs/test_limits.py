"""Limits inside the call: concurrency, rate, patience, and the circuit breaker."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field

import pytest

from maquette.core.errors import (
    Cancelled,
    EndpointResting,
    ProviderRefused,
    ProviderUnavailable,
    RateLimited,
)
from maquette.core.states import JobState
from maquette.core.wire import Limits
from maquette.jobs.limits import Gate
from maquette.services import running, starting
from maquette.services.studio import Studio
from maquette.testing.scripted import Act, Books, ScriptedProvider
from tests.conftest import Opener
from tests.jobs.conftest import Begin, see

DOWN = ProviderUnavailable("down")


@dataclass
class Time:
    """A clock that only moves when somebody waits."""

    now: float = 1000.0
    waits: list[float] = field(default_factory=list[float])

    async def pause(self, seconds: float) -> None:
        self.waits.append(seconds)
        await asyncio.sleep(0)
        self.now += seconds


def scripted(studio: Studio) -> ScriptedProvider:
    found = studio.shop.providers["scripted"]
    assert isinstance(found, ScriptedProvider)
    return found


def gate(time: Time, **limits: float) -> Gate:
    return Gate(Limits.model_validate(limits), clock=lambda: time.now)


async def passing(door: Gate, time: Time, error: Exception | None = None) -> float:
    """Make one call that ends at once; return when it was made."""
    made: list[float] = []
    with suppress(*([type(error)] if error else [])):
        async with door.call(time.pause):
            made.append(time.now)
            if error is not None:
                raise error
    return made[0]


async def test_calls_over_the_rate_wait_for_the_window() -> None:
    time = Time()
    door = gate(time, per_minute=3)
    made = [await passing(door, time) for _ in range(7)]
    assert [at - made[0] for at in made] == [0, 0, 0, 60, 60, 60, 120]


async def test_no_more_calls_are_under_way_than_allowed() -> None:
    door = Gate(Limits(concurrent=2))
    under_way, most = 0, 0

    async def one() -> None:
        nonlocal under_way, most
        async with door.call(asyncio.sleep):
            under_way += 1
            most = max(most, under_way)
            await asyncio.sleep(0.01)
            under_way -= 1

    async with asyncio.timeout(5):
        await asyncio.gather(*(one() for _ in range(9)))
    assert most == 2


async def test_what_one_is_told_all_heed() -> None:
    """`Retry-After` is the endpoint's word, not one job's."""
    time = Time()
    door = gate(time)
    await passing(door, time, RateLimited("busy", retry_after=12))
    assert await passing(door, time) == 1012


async def test_an_absurd_wish_is_not_everybodys() -> None:
    time = Time()
    door = gate(time)
    await passing(door, time, RateLimited("busy", retry_after=1e9))
    assert await passing(door, time) == 1000


async def test_failures_in_a_row_give_the_endpoint_a_rest() -> None:
    time = Time()
    door = gate(time, failures=3, rest_s=30)
    for _ in range(3):
        await passing(door, time, DOWN)
    assert await passing(door, time) == 1030
    assert await passing(door, time) == 1030


@pytest.mark.parametrize("between", [None, ProviderRefused("no"), RateLimited("busy")])
async def test_an_answer_of_any_kind_begins_the_count_anew(between: Exception | None) -> None:
    time = Time()
    door = gate(time, failures=2, rest_s=30)
    for _ in range(4):
        await passing(door, time, DOWN)
        await passing(door, time, between)
    assert time.now == 1000


async def test_after_a_rest_one_call_tries_for_all() -> None:
    time = Time()
    door = gate(time, failures=1, rest_s=30)
    await passing(door, time, DOWN)
    tried = asyncio.Event()
    go = asyncio.Event()

    async def trial() -> None:
        async with door.call(time.pause):
            tried.set()
            await go.wait()

    first = asyncio.create_task(trial())
    await tried.wait()
    second = asyncio.create_task(passing(door, Time(now=time.now)))
    await asyncio.sleep(0.01)
    assert not second.done()
    go.set()
    async with asyncio.timeout(5):
        await asyncio.gather(first, second)


async def test_trials_in_vain_turn_callers_away_at_once() -> None:
    """A dead server fails forty scenes quickly, not one after the other for an hour."""
    time = Time()
    door = gate(time, failures=1, rest_s=30)
    for _ in range(4):
        await passing(door, time, DOWN)
    waited = len(time.waits)
    with pytest.raises(EndpointResting, match=r"left alone.*nothing was sent.*resume"):
        async with door.call(time.pause):
            pytest.fail("nobody may pass")
    assert len(time.waits) == waited
    time.now += 30
    assert await passing(door, time) == time.now
    assert await passing(door, time) == time.now


async def test_a_cancelled_call_says_nothing_of_the_endpoint() -> None:
    time = Time()
    door = gate(time, failures=1, rest_s=30)
    await passing(door, time, DOWN)
    await passing(door, time, Cancelled("a person"))
    rested = time.now
    assert rested == 1030
    assert await passing(door, time) == 1030


async def test_cancelling_ends_the_waiting() -> None:
    door = Gate(Limits(concurrent=1))

    async def stop(_seconds: float) -> None:
        raise Cancelled("a person")

    async with door.call(asyncio.sleep):
        with pytest.raises(Cancelled):
            async with door.call(stop):
                pytest.fail("there is no room")
    async with asyncio.timeout(1), door.call(stop):
        pass


async def test_jobs_of_a_run_keep_to_the_limit(
    open_studio: Opener, begin: Begin, books: Books
) -> None:
    acts = [Act(delay_s=0.05)] * 4
    async with open_studio(*acts, limits=Limits(concurrent=1)) as studio:
        seen = await see(studio, await begin(studio, candidates=4))
        assert scripted(studio).most_at_once == 1
    assert seen.state is JobState.SUCCEEDED
    assert books.paid_calls == 4


async def test_without_a_limit_they_do_not_wait_for_each_other(
    open_studio: Opener, begin: Begin
) -> None:
    async with open_studio(*[Act(delay_s=0.3)] * 2) as studio:
        await see(studio, await begin(studio))
        assert scripted(studio).most_at_once == 2


async def test_a_dead_endpoint_fails_the_run_and_a_resume_mends_it(
    open_studio: Opener, begin: Begin, books: Books
) -> None:
    acts = [Act("down")] * 60
    limits = Limits(failures=2, rest_s=0.01)
    async with open_studio(*acts, limits=limits) as studio:
        seen = await see(studio, await begin(studio))
        assert seen.state is JobState.FAILED
        assert (seen.held, seen.settled) == (0, 0)
        assert not books.entries()
        scripted(studio).forget()
        await running.resume(studio, seen.run, starting.Spending(confirmed=True))
        assert (await see(studio, seen.run)).state is JobState.SUCCEEDED
    assert books.paid_calls == 2
