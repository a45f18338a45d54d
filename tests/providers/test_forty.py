"""Forty scenes, three candidates each, a bad day at the provider's, and kill -9 all the way."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, Self

import numpy as np
import pytest

from maquette.core.requests import digest_of
from maquette.imaging import png
from maquette.testing.standin_openai import Act, Seen, StandIn

REPOSITORY = Path(__file__).parents[2]
KEY = "sk-forty-7ac1"
SCENES = 40
MODERATED = 6
DAY: Mapping[int, tuple[Act, ...]] = {
    0: (),
    1: (Act("busy", headers={"retry-after-ms": "10"}), Act("busy", headers={"retry-after": "0"})),
    2: (Act("fail", status=500, charged=True),),
    3: (Act("fail", status=503, charged=False),),
    4: (Act("cut-early"),),
    5: (Act("cut-late"),),
    MODERATED: (Act("moderate"),) * 1000,
    7: (Act("garbage"), Act("cut-answer")),
}
"""What the scenes meet, by their number modulo eight: one act a call, then plain answers."""
MODELS = [
    {
        "id": "gpt-image-2.5-flare",
        "options": "wide",
        "sizes": "any",
        "price": {
            "rates": {"text_in": "5", "image_in": "8", "image_out": "30"},
            "output": {"cells": {"low": 16}},
        },
    }
]


@dataclass
class Provider:
    """The other side: it knows the scenes by their pictures, and keeps its own books."""

    names: dict[str, int]
    calls: Counter[int] = field(default_factory=Counter[int])
    lock: threading.Lock = field(default_factory=threading.Lock)

    def scene(self, seen: Seen) -> int:
        return self.names[digest_of(seen.files[0].data)]

    def choose(self, seen: Seen) -> Act:
        scene = self.scene(seen)
        with self.lock:
            met = self.calls[scene]
            self.calls[scene] += 1
        acts = DAY[scene % 8]
        return acts[met] if met < len(acts) else Act()


class Maquette:
    """The command line, in processes that may be killed."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.providers.dying", str(folder)],
            cwd=REPOSITORY,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, *argv: str, kill_at: int | None = None) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"argv": argv, "kill_at": kill_at}) + "\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer

    def read(self, *argv: str) -> Any:
        told = self.run(*argv, "--json")
        return json.loads(told["out"])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(30)
        self._process.stdout.close()


@pytest.fixture
def provider(tmp_path: Path) -> Provider:
    """Make the scenes, and know them."""
    folder = tmp_path / "scenes"
    folder.mkdir()
    names: dict[str, int] = {}
    for index in range(SCENES):
        pixels = np.random.default_rng(index).integers(0, 256, (24, 32, 3), np.uint8)
        data = png.write(pixels)
        (folder / f"scene{index:02d}.png").write_bytes(data)
        names[digest_of(data)] = index
    return Provider(names)


@pytest.fixture
def server(provider: Provider) -> Iterator[StandIn]:
    with StandIn(key=KEY, choose=provider.choose) as running:
        yield running


@pytest.fixture
def maquette(tmp_path: Path, server: StandIn) -> Iterator[Maquette]:
    environment = {
        **os.environ,
        "MAQUETTE_HOME": str(tmp_path / "home"),
        "MAQUETTE_NET__PAID_CALLS": "false",
        "MAQUETTE_STORAGE": "watched",
        "MAQUETTE_RETRIES__FIRST_WAIT_S": "0.01",
        "MAQUETTE_PROVIDERS__OPENAI__BASE_URL": server.url,
        "MAQUETTE_PROVIDERS__OPENAI__MODELS": json.dumps(MODELS),
        "MAQUETTE_PROVIDERS__OPENAI__LIMITS": '{"failures": 1000}',
        "OPENAI_API_KEY": KEY,
    }
    with Maquette(tmp_path, environment) as running:
        yield running


def wait_until_idle(server: StandIn) -> None:
    """Let the provider finish what a killed process had sent."""
    deadline = time.monotonic() + 30
    while not server.idle:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def charged_by_scene(server: StandIn, provider: Provider) -> Counter[int]:
    sums: Counter[int] = Counter()
    for seen in server.seen:
        if seen.charged_nano:
            sums[provider.scene(seen)] += seen.charged_nano
    return sums


def decide(maquette: Maquette, server: StandIn, provider: Provider, home: Path) -> int:
    """Decide every lost answer by the provider's books, as a person would."""
    wait_until_idle(server)
    charged = charged_by_scene(server, provider)
    unknown = maquette.read("spend", "unknown")
    booked = settled_by_scene(home)
    for one in unknown:
        scene = number(one["scene"])
        missing = charged[scene] - booked[scene]
        said = ["--charged", "--amount", str(Decimal(missing) / 10**9)]
        told = maquette.run(
            "spend", "decide", one["attempt"], *(said if missing else ["--not-charged"])
        )
        assert told["status"] == 0, told["out"]
    return len(unknown)


def settled_by_scene(home: Path) -> Counter[int]:
    """Sum up what our own rows say of every scene."""
    query = (
        "SELECT run_jobs.scene, SUM(attempts.settled_nano) FROM attempts "
        "JOIN run_jobs ON run_jobs.id = attempts.job_id GROUP BY run_jobs.scene"
    )
    with closing(sqlite3.connect(home / "app.db")) as rows:
        return Counter({number(scene): nano for scene, nano in rows.execute(query) if nano})


def number(scene: str) -> int:
    return int(scene.removeprefix("scene"))


@pytest.mark.timeout(900)
def test_forty_scenes_on_a_bad_day_end_complete_and_paid_to_the_cent(
    tmp_path: Path, maquette: Maquette, server: StandIn, provider: Provider
) -> None:
    """LAB-14, ORC-8: 429, 500, cuts, nonsense, moderation, and a crash at every boundary."""
    root = tmp_path / "root"
    begin = ["run", "--project", "demo", "--project-root", str(root)]
    begin += ["--input", str(tmp_path / "scenes"), "--candidates", "3", "--prompt", "an evening"]
    begin += ["--provider", "openai", "--model", "gpt-image-2.5-flare", "--option", "quality=low"]
    begin += ["--confirm-spend"]
    run: str | None = None
    died: list[str] = []
    # Each process gets eight boundaries further than the one before, until one gets through. Before
    # the run has its rows, every boundary but the last ones is an input on its way to the store.
    beginnings, resumings = iter((1, 3, *range(79, 120, 2))), iter(range(1, 1600, 8))
    for _ in range(250):
        argv = begin if run is None else ["resume", run, "--confirm-spend"]
        told = maquette.run(*argv, kill_at=next(beginnings if run is None else resumings))
        assert told["killed"] or told["status"] in (0, 1), told["out"]
        if told["killed"]:
            died.append(told["where"])
        if run is None:
            runs = maquette.read("runs")
            run = runs[0]["run"] if runs else None
            continue
        if not told["killed"]:
            asked = decide(maquette, server, provider, tmp_path / "home")
            if not asked:
                break
    else:
        pytest.fail("it never got through")
    assert run is not None
    wait_until_idle(server)
    log = json.loads((root / "runs" / f"{run}.json").read_text())
    states = {number(job["scene"]): job["state"] for job in log["jobs"]}
    assert len(states) == SCENES
    moderated = {scene for scene in states if scene % 8 == MODERATED}
    assert {scene for scene, state in states.items() if state != "succeeded"} == moderated
    assert all(len(job["candidates"]) == 3 for job in log["jobs"] if job["state"] == "succeeded")
    assert len(set(died)) >= 4, died
    assert len(died) >= 20
    assert settled_by_scene(tmp_path / "home") == charged_by_scene(server, provider)
    charges = Counter(provider.scene(seen) for seen in server.seen if seen.charged_nano)
    booked = Counter(
        {
            number(job["scene"]): sum(
                attempt["state"] in ("settled", "written_off") and attempt["settled_nano"] > 0
                for attempt in job["attempts"]
            )
            for job in log["jobs"]
        }
    )
    assert booked == charges
    report = maquette.read("spend", "report")
    assert sum(Decimal(line["actual"]) for line in report) * 10**9 == server.charged_nano
    assert all(Decimal(line["unknown"]) == 0 for line in report)
    assert all(Decimal(meter["held"]) == 0 for meter in maquette.read("spend", "caps")["caps"])
