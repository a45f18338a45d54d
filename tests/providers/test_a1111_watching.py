"""Progress, previews and stopping, where they must be ours."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from tests.providers.a1111_calls import (
    WAIT_S,
    Keyed,
    provider,
    words,
)

from maquette.core.errors import (
    ProviderUnavailable,
)
from maquette.core.requests import Encoded
from maquette.core.wire import Limits
from maquette.imaging import codec
from maquette.providers.a1111 import watch
from maquette.testing.standin_a1111 import A1111StandIn, Act, Dialect


@pytest.fixture
def server() -> Iterator[A1111StandIn]:
    with A1111StandIn() as running:
        yield running


class TestWatching:
    """Progress is of the whole server: it is shown, and stopped, only where it must be ours."""

    async def test_progress_and_preview_are_shown_while_it_works(
        self, server: A1111StandIn
    ) -> None:
        server.script(Act("hold"))
        run = Keyed()
        call = asyncio.create_task(provider(server).generate(words(), run))
        await asyncio.wait_for(run.shown.wait(), WAIT_S)
        assert not call.done()
        looks = server.looks
        async with asyncio.timeout(WAIT_S):
            while server.looks < looks + 3:  # noqa: ASYNC110 - it counts in its own threads
                await asyncio.sleep(0.01)
        server.go_on()
        assert len((await call).images) == 1
        assert run.fractions[-1] == 0.5
        assert run.fractions == sorted(set(run.fractions))
        assert len(run.partials) == 1, "an unchanged preview is shown once"
        assert codec.sniff(run.partials[0].data).width_px == 8

    async def test_a_cancelled_call_stops_the_server(self, server: A1111StandIn) -> None:
        server.script(Act("hold"))
        call = asyncio.create_task(provider(server).generate(words(), Keyed()))
        assert await asyncio.to_thread(server.working.wait, WAIT_S)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert server.interrupted.is_set()

    async def test_a_call_that_is_given_up_stops_the_server_too(self, server: A1111StandIn) -> None:
        """A second one would only wait behind the first."""
        server.script(Act("hold"))
        one = provider(server, rules={"longest_wait_s": 0.5})
        with pytest.raises(ProviderUnavailable, match="did not answer in time"):
            await one.generate(words(), Keyed())
        assert server.interrupted.is_set()

    async def test_where_others_may_work_too_nothing_is_shown_or_stopped(
        self, server: A1111StandIn
    ) -> None:
        server.script(Act("hold"))
        one, run = provider(server, limits=Limits(concurrent=2)), Keyed()
        call = asyncio.create_task(one.generate(words(), run))
        assert await asyncio.to_thread(server.working.wait, WAIT_S)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert server.looks == 0
        assert not server.interrupted.is_set()
        assert not run.fractions

    async def test_the_work_of_somebody_else_is_neither_shown_nor_stopped(
        self, server: A1111StandIn
    ) -> None:
        run = Keyed()
        with server.at_other_work():
            call = asyncio.create_task(provider(server).generate(words(), run))
            await asyncio.wait_for(run.noted.wait(), WAIT_S)
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
        assert run.notes == ["the server is at other work; this waits its turn"]
        assert run.fractions == [0.0]
        assert not run.partials
        assert server.looks == 1
        assert not server.interrupted.is_set()

    async def test_behind_the_work_of_somebody_else_our_turn_comes(
        self, server: A1111StandIn
    ) -> None:
        run = Keyed()
        with server.at_other_work():
            call = asyncio.create_task(provider(server).generate(words(), run))
            await asyncio.wait_for(run.noted.wait(), WAIT_S)
        assert len((await call).images) == 1

    @pytest.mark.parametrize("dialect", ["sdcpp", "drawthings"])
    async def test_a_server_that_tells_no_progress_works_all_the_same(
        self, dialect: Dialect
    ) -> None:
        with A1111StandIn(dialect, script=(Act("hold"),)) as other:
            run = Keyed()
            call = asyncio.create_task(provider(other).generate(words(), run))
            assert await asyncio.to_thread(other.working.wait, WAIT_S)
            other.go_on()
            assert len((await call).images) == 1
        assert not run.fractions

    async def test_a_hitch_in_showing_loses_no_picture(
        self, server: A1111StandIn, caplog: pytest.LogCaptureFixture
    ) -> None:
        class Blind(Keyed):
            async def partial(self, index: int, image: Encoded) -> None:
                self.shown.set()
                raise RuntimeError("no screen")

        server.script(Act("hold"))
        run = Blind()
        call = asyncio.create_task(provider(server).generate(words(), run))
        await asyncio.wait_for(run.shown.wait(), WAIT_S)
        server.go_on()
        assert len((await call).images) == 1
        assert "could not be shown" in caplog.text

    @pytest.mark.parametrize(
        ("body", "seen"),
        [
            (b'{"progress": 0.25, "state": {"job_count": 1}}', watch.Look(0.25, False, None)),
            (b'{"progress": 7, "state": {"job_count": -1}}', watch.Look(1.0, False, None)),
            (b'{"progress": 0, "state": {"job_count": 0}}', watch.Look(0.0, True, None)),
            (b'{"progress": 0.0}', watch.Look(0.0, True, None)),
            (b'{"progress": 0.1}', watch.Look(0.1, False, None)),
            (b'{"progress": NaN}', None),
            (b'{"progress": -1}', None),
            (b"[]", None),
            (b"<html>", None),
        ],
    )
    def test_what_is_told_of_the_progress_is_taken_with_care(
        self, body: bytes, seen: watch.Look | None
    ) -> None:
        assert watch.read(body) == seen
