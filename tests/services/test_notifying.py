"""Notices of runs' ends: no address reaches the server's own machine, or stops whoever works."""

from __future__ import annotations

import pytest
from sqlalchemy import select, update

from maquette.db import notices, runs
from maquette.db.tables import Notice, Project
from maquette.services import notifying
from maquette.services.studio import Studio
from maquette.testing.http_server import Exchange, LoopbackServer
from tests.conftest import Opener
from tests.services.conftest import Begin


class Hook:
    """Counts the notices that come."""

    def __init__(self) -> None:
        self.count = 0
        self._server = LoopbackServer(self._handle)

    def __enter__(self) -> str:
        return self._server.__enter__().url

    def __exit__(self, *exc: object) -> None:
        self._server.__exit__(*exc)

    def _handle(self, exchange: Exchange) -> None:
        exchange.body()
        self.count += 1
        exchange.answer(204, b"")


async def _ended(studio: Studio, begin: Begin, project: str, url: str) -> None:
    """Leave a notice that is due at an address that nothing has checked."""
    run_id = await begin(studio, project=project)
    async with studio.shop.db.write() as session:
        run = await runs.by_id(session, run_id)
        at = update(Project).where(Project.id == run.project_id)
        await session.execute(at.values(notify_url=url))
        await notices.add(session, run, studio.shop.clock.now())


async def _due(studio: Studio) -> int:
    async with studio.shop.db.read() as session:
        return len((await session.execute(select(Notice.run_id))).all())


@pytest.mark.parametrize(
    ("auth", "private_hosts", "count"),
    [("single", "[]", 1), ("multi", "[]", 0), ("multi", '["127.0.0.1"]', 1)],
)
async def test_where_people_sign_in_loopback_is_told_only_where_it_is_allowed(
    open_studio: Opener,
    begin: Begin,
    monkeypatch: pytest.MonkeyPatch,
    auth: str,
    private_hosts: str,
    count: int,
) -> None:
    monkeypatch.setenv("MAQUETTE_SERVER__AUTH", auth)
    monkeypatch.setenv("MAQUETTE_NET__PRIVATE_HOSTS", private_hosts)
    hook = Hook()
    with hook as url:
        async with open_studio() as studio:
            await _ended(studio, begin, "demo", url)
            await notifying.tell_due(studio)
            assert await _due(studio) == 0
    assert hook.count == count


@pytest.mark.parametrize(
    "url",
    [
        f"http://{'x' * 64}.example/secret-path",
        "http://a..example/secret-path",
        "http://[::1/secret-path",
        "http://127.0.0.1:99999/secret-path",
        "http://\N{SNOWMAN}.\N{SNOWMAN}{}/secret-path",
    ],
)
async def test_an_address_that_cannot_be_stops_nothing(
    open_studio: Opener, begin: Begin, caplog: pytest.LogCaptureFixture, url: str
) -> None:
    hook = Hook()
    with hook as good:
        async with open_studio() as studio:
            await _ended(studio, begin, "wrong", url)
            await _ended(studio, begin, "demo", good)
            await notifying.tell_due(studio)
            assert await _due(studio) == 0
    assert hook.count == 1
    assert "secret-path" not in caplog.text
