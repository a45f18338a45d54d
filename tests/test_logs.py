"""Log lines are JSON for programs, carry the correlation id and nobody's secrets."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from maquette import logs


@pytest.fixture(autouse=True)
def _as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    loggers = [root, *(logging.getLogger(name) for name in logs.QUIET)]
    handlers, levels = root.handlers, [one.level for one in loggers]
    yield
    root.handlers = handlers
    for one, level in zip(loggers, levels, strict=True):
        one.setLevel(level)
    structlog.reset_defaults()


def lines(told: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in told.splitlines()]


def test_a_line_of_ours_and_one_of_a_library_look_the_same(
    capsys: pytest.CaptureFixture[str],
) -> None:
    logs.configure("info", "json")
    with structlog.contextvars.bound_contextvars(correlation_id="abc"):
        structlog.stdlib.get_logger("ours").info("begun", run="r1")
        logging.getLogger("theirs").warning("slow: %s ms", 7)
    ours, theirs = lines(capsys.readouterr().err)
    assert (ours["event"], ours["run"], ours["correlation_id"]) == ("begun", "r1", "abc")
    assert (theirs["event"], theirs["level"]) == ("slow: 7 ms", "warning")
    assert theirs["correlation_id"] == "abc"
    assert ours.keys() >= {"timestamp", "logger", "level"}


@pytest.mark.parametrize(
    "said",
    [
        {"password": "canary-123456"},
        {"api_key": "canary-123456"},
        {"Authorization": "Bearer canary-123456"},
        {"why": "refused: Bearer canary-123456"},
        {"why": "the key sk-canary-123456 is over"},
        {"why": "mq_canary-123456 is over"},
    ],
)
def test_what_may_be_a_secret_is_masked(
    capsys: pytest.CaptureFixture[str], said: dict[str, str]
) -> None:
    logs.configure("info", "json")
    structlog.stdlib.get_logger("ours").info("told", **said)
    assert "canary" not in capsys.readouterr().err


def test_the_level_is_kept(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("warning", "console")
    logging.getLogger("theirs").info("unheard")
    logging.getLogger("theirs").error("heard")
    told = capsys.readouterr().err
    assert "unheard" not in told
    assert "heard" in told
