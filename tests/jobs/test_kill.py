"""kill -9 at every commit, call, put and placing of a run: nothing lost, nothing paid twice."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

PARTS = 6
NEEDED_CALLS = 4
"""Two for three candidates, one for the cutout, one to refine it."""
SCRIPT = "tests.jobs.killing"
REPOSITORY = Path(__file__).parents[2]


@pytest.mark.timeout(900)
@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("model", ["paid", "ticketed"])
def test_a_run_killed_anywhere_ends_complete_and_pays_once(
    tmp_path: Path, model: str, part: int
) -> None:
    """LAB-12, LAB-14, ORC-8: the second process goes on at the first unfinished step."""
    done = subprocess.run(
        [sys.executable, "-m", SCRIPT, str(tmp_path / "k"), model, str(part), str(PARTS)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    first, *crashes = [json.loads(line) for line in done.stdout.splitlines()]
    assert first["boundaries"] > 60
    assert len(crashes) >= first["boundaries"] // PARTS
    wrong = [crash for crash in crashes if not _as_it_should_be(crash)]
    assert not wrong, json.dumps(wrong, indent=1)


def _as_it_should_be(crash: dict[str, Any]) -> bool:
    """Complete, whole, and our books equal the provider's."""
    second: dict[str, Any] | None = crash["second"]
    decided: dict[str, Any] | None = crash.get("decided")
    if second is None:
        return False
    # A call that was sent and never answered is never sent again unasked: a person decides.
    asked = second["state"] == "outcome_unknown"
    if asked and (decided is None or second["paid_calls"] > NEEDED_CALLS):
        return False
    end: dict[str, Any] = decided if asked and decided is not None else second
    lost = second["paid_calls"] - second["answered"] if asked else 0
    return (
        end["state"] == "succeeded"
        and end["paid_calls"] == NEEDED_CALLS + lost
        and end["settled"] == end["charged"]
        and end["held"] == "0"
        and end["flaws"] == 0
        and end["leftovers"] == 0
        and end["candidates"] == 3
        and end["archived"] == 1
    )
