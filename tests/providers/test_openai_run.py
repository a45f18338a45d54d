"""Whole runs against the stand-in: our books and its charges say the same."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import asynccontextmanager
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from maquette import bootstrap
from maquette.core import money
from maquette.core.errors import CapabilityMissing, PriceUnknown
from maquette.core.findings import GuardRules
from maquette.core.pipeline import PostChain, RunOrder
from maquette.core.states import AttemptState
from maquette.core.wire import WireRules
from maquette.db import ledger, runs
from maquette.db.tables import Attempt, Event, Job
from maquette.imaging import png
from maquette.providers.openai.config import OpenAIConfig
from maquette.providers.openai.profiles import ModelEntry
from maquette.providers.openai.provider import OpenAIProvider
from maquette.services import planning, running, spending, starting
from maquette.services.planning import Plan
from maquette.services.studio import Studio
from maquette.settings import RetrySettings, load
from maquette.testing.standin_openai import Act, Seen, StandIn

KEY = "sk-run-51d0"
MIXED = (
    Act("busy", headers={"retry-after-ms": "10"}),
    Act(),
    Act("fail", status=500, charged=True),
    Act("cut-late"),
    Act("busy", headers={"retry-after": "0"}),
    Act("moderate"),
    Act("fail", status=503, charged=False),
    Act("cut-early"),
    Act("garbage"),
    Act(),
)


@pytest.fixture
def server() -> Iterator[StandIn]:
    with StandIn(key=KEY) as running_server:
        yield running_server


@pytest.fixture
def many(tmp_path: Path) -> Path:
    """Eight small pictures: one call each."""
    folder = tmp_path / "many"
    folder.mkdir()
    for index in range(8):
        picture = np.random.default_rng(index).integers(0, 256, (24, 32, 3), np.uint8)
        (folder / f"scene{index}.png").write_bytes(png.write(picture))
    return folder


@asynccontextmanager
async def opened(
    tmp_path: Path, server: StandIn, models: tuple[ModelEntry, ...] = ()
) -> AsyncGenerator[Studio]:
    settings = load(
        home=tmp_path / "home",
        plugins="proof",
        retries=RetrySettings(first_wait_s=0.01, longest_wait_s=0.05),
    )
    config = OpenAIConfig(base_url=server.url, shipped_models=True, models=models, has_key=True)
    provider = OpenAIProvider.build(config, WireRules(paid_calls=False))
    async with bootstrap.open_studio(settings, providers={"openai": provider}) as studio:
        yield studio


async def planned(studio: Studio, pictures: Path, root: Path, **more: Any) -> Plan:
    order = RunOrder(
        project="demo",
        input=pictures,
        provider="openai",
        model=more.pop("model", "gpt-image-2.5-flare"),
        prompt="a warm evening",
        options={"quality": "low"},
        post=PostChain(),
        guard=GuardRules(),
        **more,
    )
    return await planning.plan(studio, order, root)


async def worked(studio: Studio, pictures: Path, root: Path, **more: Any) -> str:
    plan = await planned(studio, pictures, root, **more)
    run_id = await starting.start(studio, plan, starting.Spending(confirmed=True))

    async def tell(event: Event) -> None:
        assert KEY not in repr(vars(event))

    await running.see_through(studio, run_id, tell)
    return run_id


async def rows(studio: Studio, run_id: str) -> tuple[Sequence[Job], list[Attempt], int, int]:
    """Return the jobs and attempts of a run, and what is held and settled."""
    async with studio.shop.db.read() as session:
        jobs = list(await runs.jobs_of(session, run_id))
        attempts = [one for job in jobs for one in await runs.attempts_of(session, job.id)]
        held, settled = await ledger.budget(session, "installation")
    return jobs, attempts, held, settled


def lost(server: StandIn) -> list[Seen]:
    """Return the calls whose answer did not arrive as promised."""
    return [one for one in server.seen if one.act.does not in ("answer", "busy", "moderate")]


async def test_a_good_run_settles_what_was_charged_and_holds_nothing(
    tmp_path: Path,
    root: Path,
    scenes: Path,
    server: StandIn,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    async with opened(tmp_path, server) as studio:
        run_id = await worked(studio, scenes, root, candidates=3)
        _, attempts, held, settled = await rows(studio, run_id)
    assert {one.state for one in attempts} == {AttemptState.SETTLED}
    assert len(server.seen) == 2
    assert (held, settled) == (0, server.charged_nano)
    assert len(list((root / "outputs").iterdir())) == 6, "losers are kept"


async def test_after_every_kind_of_failure_the_books_equal_the_charges(
    tmp_path: Path,
    root: Path,
    many: Path,
    server: StandIn,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """LAB-14, WEB-9: what is unclear stays counted until a person has looked it up."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    server.script(*MIXED)
    async with opened(tmp_path, server) as studio:
        run_id = await worked(studio, many, root)
        _, attempts, held, settled = await rows(studio, run_id)
        unknown = [one for one in attempts if one.state == AttemptState.UNKNOWN]
        answered = sum(one.charged_nano for one in server.seen if one.act.does == "answer")
        unclear = lost(server)
        assert len(server.seen) == len(MIXED)
        assert len(unknown) == len(unclear) == 5
        assert settled == answered > 0
        assert held == sum(one.reserved_nano for one in unknown)
        assert held >= sum(one.charged_nano for one in unclear) > 0
        for attempt, call in zip(unknown, unclear, strict=True):
            amount = money.from_nano(call.charged_nano) if call.charged_nano else None
            await spending.decide(studio, attempt.id, charged=amount is not None, amount=amount)
        _, attempts, held, settled = await rows(studio, run_id)
    assert (held, settled) == (0, server.charged_nano)
    assert KEY not in caplog.text
    assert not any(KEY in repr(vars(one)) for one in attempts)


async def test_a_missing_key_costs_nothing_and_leaves_nothing_unclear(
    tmp_path: Path,
    root: Path,
    scenes: Path,
    server: StandIn,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    async with opened(tmp_path, server) as studio:
        run_id = await worked(studio, scenes, root)
        jobs, attempts, held, settled = await rows(studio, run_id)
    assert {one.state for one in attempts} == {AttemptState.RELEASED}
    assert (held, settled) == (0, 0)
    assert all("OPENAI_API_KEY" in (job.error_message or "") for job in jobs)
    assert not server.seen


async def test_a_plan_warns_of_a_last_day(
    tmp_path: Path, root: Path, scenes: Path, server: StandIn
) -> None:
    ending = ModelEntry(
        id="ending",
        free=True,
        shutdown=date(2999, 1, 1),
        successor="lasting",
    )
    async with opened(tmp_path, server, models=(ending,)) as studio:
        order = RunOrder(
            project="demo", input=scenes, provider="openai", model="ending", prompt="an evening"
        )
        plan = await planning.plan(studio, order, root)
    assert "ending ends on 2999-01-01; use lasting from then." in plan.notes


async def test_a_plan_refuses_a_model_whose_price_has_a_gap(
    tmp_path: Path, root: Path, scenes: Path, server: StandIn
) -> None:
    unpriced = ModelEntry(id="unpriced")
    async with opened(tmp_path, server, models=(unpriced,)) as studio:
        with pytest.raises(PriceUnknown, match="no price"):
            await planned(studio, scenes, root, model="unpriced")
    assert not server.seen


async def test_a_plan_with_a_name_that_is_gone_names_the_successor(
    tmp_path: Path, root: Path, scenes: Path, server: StandIn
) -> None:
    async with opened(tmp_path, server) as studio:
        with pytest.raises(CapabilityMissing, match=r"use 'gpt-image-2\.5-sunburst'"):
            await planned(studio, scenes, root, model="gpt-image-1")
    assert not server.seen
